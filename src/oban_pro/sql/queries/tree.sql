-- Jobs of a workflow and of all nested in it, by path; only those in some states where asked. Those that failed
-- by themselves come before those that an upstream broke.
WITH RECURSIVE tree AS (
  SELECT
    g.key, g.kind, '{}'::text[] AS path
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key, g.kind, CASE WHEN tree.kind = 'graft' THEN tree.path ELSE tree.path || m.name END
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.parent = tree.key
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = g.key
)
SELECT
  CASE WHEN tree.kind = 'graft' THEN tree.path ELSE tree.path || m.name END AS path,
  COALESCE(j.state::text, m.gone) AS state,
  COALESCE(j.attempt, 0) AS attempt,
  COALESCE(j.max_attempts, 0) AS max_attempts,
  j.attempted_at,
  to_jsonb(j.errors) -> -1 ->> 'error' AS error,
  COALESCE(starts_with(to_jsonb(j.errors) -> -1 ->> 'error', 'cancelled because upstream '), false) AS caused
FROM
  tree
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = tree.key AND m.id > 0
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
WHERE
  %(states)s::text[] IS NULL
  OR COALESCE(j.state::text, m.gone) = ANY(%(states)s::text[])
ORDER BY
  caused, m.id
LIMIT
  %(limit)s
