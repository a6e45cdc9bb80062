-- Groups of a workflow in which jobs ran more than once: when the first attempt failed, and when the last began.
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
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = tree.key
  JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
WHERE
  j.attempt > 1 OR j.state = 'retryable'
GROUP BY
  tree.key
