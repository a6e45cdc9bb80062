-- Groups of a workflow in which jobs ran more than once: when the first attempt failed, and when the last began.
-- OFFSET 0 keeps to lookups by key, whatever is known of the tables: they are large, and the workflow seldom is.
WITH RECURSIVE tree AS (
  SELECT
    g.key
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.parent = tree.key
)
SELECT
  tree.key, min(to_jsonb(j.errors) #>> '{0,at}') AS failed_at, max(j.attempted_at) AS attempted_at
FROM
  tree
  CROSS JOIN LATERAL (
    SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = tree.key OFFSET 0
  ) m
  CROSS JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
  ) j
WHERE
  j.attempt > 1 OR j.state = 'retryable'
GROUP BY
  tree.key
