-- Root workflows of a name, newest first, a page at a time, with the jobs of all that is nested in them counted. The state
-- of one is unknown if its id is free. The name is no equality and part of the order, which leaves the planner the index
-- on names alone.
WITH page AS MATERIALIZED (
  SELECT
    g.key, g.id, g.state, g.inserted_at
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.parent IS NULL
    AND g.name IS NOT NULL
    AND g.name >= %(name)s::text
    AND g.name <= %(name)s::text
  ORDER BY
    g.name DESC, g.inserted_at DESC, g.key
  LIMIT
    %(limit)s
  OFFSET
    %(offset)s
)
SELECT
  page.id,
  CASE WHEN /* TEMPLATE: schema */oban_workflow_is_free_v1(page.key) THEN 'unknown' ELSE page.state END AS state,
  page.inserted_at,
  counted.total,
  counted.completed,
  counted.discarded,
  counted.started_at,
  CASE WHEN page.state <> 'executing' THEN counted.stopped_at END AS stopped_at
FROM
  page
  CROSS JOIN LATERAL (
    SELECT
      sum(g.total)::int AS total,
      sum(g.completed)::int AS completed,
      sum(g.discarded)::int AS discarded,
      min(g.started_at) AS started_at,
      max(g.stopped_at) AS stopped_at
    FROM
      /* TEMPLATE: schema */oban_workflow_groups g
    WHERE
      g.root = page.key
  ) counted
ORDER BY
  page.inserted_at DESC, page.key
