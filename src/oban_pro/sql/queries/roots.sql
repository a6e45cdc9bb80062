-- Root workflows, newest first, a page at a time; of some states, and with a name or id that holds a text, or with a key.
-- Counters are the settled ones of the root and all that is nested in it. The state of one is unknown if its id is free.
WITH page AS (
  SELECT
    g.key, g.id, g.name, g.state, g.inserted_at, g.unique_key, g.queued_at
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.parent IS NULL
    AND (%(states)s::text[] IS NULL OR g.state = ANY(%(states)s::text[]))
    AND (%(name)s::text IS NULL OR strpos(lower(g.name), lower(%(name)s::text)) > 0)
    AND (%(attributes)s::jsonb IS NULL OR g.attributes @> %(attributes)s::jsonb)
    AND (%(since)s::timestamptz IS NULL OR g.inserted_at >= timezone('UTC', %(since)s::timestamptz))
    AND (%(until)s::timestamptz IS NULL OR g.inserted_at < timezone('UTC', %(until)s::timestamptz))
    AND (
      %(search)s::text IS NULL
      OR strpos(lower(g.name), lower(%(search)s::text)) > 0
      OR strpos(lower(g.id), lower(%(search)s::text)) > 0
    )
    AND (%(key)s::text IS NULL OR g.unique_key = %(key)s)
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
  CASE WHEN /* TEMPLATE: schema */oban_workflow_is_free_v1(page.key) THEN 'unknown' ELSE page.state END AS state,
  page.inserted_at,
  sum(g.total)::int AS total,
  sum(g.suspended)::int AS suspended,
  sum(g.completed)::int AS completed,
  sum(g.cancelled)::int AS cancelled,
  sum(g.discarded)::int AS discarded,
  min(g.started_at) AS started_at,
  CASE WHEN page.state <> 'executing' THEN max(g.stopped_at) END AS stopped_at,
  page.unique_key,
  page.state = 'executing' AND page.queued_at IS NOT NULL AS is_queued
FROM
  page
  JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.root = page.key
GROUP BY
  page.key, page.id, page.name, page.state, page.inserted_at, page.unique_key, page.queued_at
ORDER BY
  page.inserted_at DESC, page.key
