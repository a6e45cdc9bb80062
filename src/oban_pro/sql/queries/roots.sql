-- Root workflows, newest first, a page at a time; of some states, and with a name or id that holds a text.
-- Counters are the settled ones of the root and all that is nested in it.
WITH page AS (
  SELECT
    g.key, g.id, g.name, g.state, g.inserted_at
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.parent IS NULL
    AND (%(states)s::text[] IS NULL OR g.state = ANY(%(states)s::text[]))
    AND (%(name)s::text IS NULL OR strpos(lower(g.name), lower(%(name)s::text)) > 0)
    AND (
      %(search)s::text IS NULL
      OR strpos(lower(g.name), lower(%(search)s::text)) > 0
      OR strpos(lower(g.id), lower(%(search)s::text)) > 0
    )
  ORDER BY
    g.inserted_at DESC, g.key
  LIMIT
    %(limit)s
  OFFSET
    %(offset)s
)
SELECT
  page.id,
  page.name,
  page.state,
  page.inserted_at,
  sum(g.total)::int AS total,
  sum(g.suspended)::int AS suspended,
  sum(g.completed)::int AS completed,
  sum(g.cancelled)::int AS cancelled,
  sum(g.discarded)::int AS discarded,
  min(g.started_at) AS started_at,
  CASE WHEN page.state <> 'executing' THEN max(g.stopped_at) END AS stopped_at
FROM
  page
  JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.root = page.key
GROUP BY
  page.key, page.id, page.name, page.state, page.inserted_at
ORDER BY
  page.inserted_at DESC, page.key
