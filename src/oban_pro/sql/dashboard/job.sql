-- A job, if it is in a workflow or in one nested in it, with the workflow it belongs to and its name there.
SELECT
  g.id AS workflow_id,
  m.name,
  /* TEMPLATE: schema */oban_workflow_path_v1(m.id) AS path,
  COALESCE(j.state::text, m.gone, 'unknown') AS state,
  j.queue,
  j.worker,
  j.attempt,
  j.max_attempts,
  j.priority,
  j.args,
  j.meta,
  to_jsonb(j.errors) AS errors,
  j.tags,
  j.attempted_by,
  j.inserted_at,
  j.scheduled_at,
  j.attempted_at,
  COALESCE(j.completed_at, j.cancelled_at, j.discarded_at) AS settled_at
FROM
  /* TEMPLATE: schema */oban_workflow_members m
  JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.group_key
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
WHERE
  m.id = %(job)s
  AND EXISTS (
    SELECT
    FROM
      /* TEMPLATE: schema */oban_workflow_groups top
      CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_around_v1(m.id) around
    WHERE
      top.id = %(id)s
      AND around.id = top.key
  )
