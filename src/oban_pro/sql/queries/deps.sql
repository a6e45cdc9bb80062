-- The jobs that a job directly depends on, ordered by id; of a group all jobs, nested ones too. Where the
-- job waits for the gate of its group, that is what the group depends on, or the group around it.
WITH RECURSIVE gates AS (
  SELECT
    m.id, m.group_key, m.gated
  FROM
    /* TEMPLATE: schema */oban_workflow_members m
  WHERE
    m.id = %(job)s
  UNION ALL
  SELECT
    m.id, m.group_key, m.gated
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = gates.group_key
  WHERE
    gates.gated
),
upstream AS (
  SELECT
    e.upstream AS id
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.downstream = gates.id
  UNION
  SELECT
    m.id
  FROM
    upstream
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = upstream.id
)
SELECT
  j.id,
  j.state,
  j.queue,
  j.worker,
  j.attempt,
  j.max_attempts,
  j.priority,
  j.args,
  j.meta,
  j.errors,
  j.tags,
  j.attempted_by,
  j.inserted_at,
  j.attempted_at,
  j.cancelled_at,
  j.completed_at,
  j.discarded_at,
  j.scheduled_at
FROM
  upstream
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = upstream.id
  JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
WHERE
  %(names)s::text[] IS NULL
  OR m.name = ANY(%(names)s::text[])
ORDER BY
  j.id
