-- What other programs may read: one row for each workflow, nested ones included, with its own jobs counted
-- by state. Oban Web looks for a relation of this name. Counting the open jobs of a large workflow costs
-- time; settled ones are kept counted.
CREATE OR REPLACE VIEW oban_workflows AS
SELECT
  g.id,
  g.name,
  p.id AS parent_id,
  g.kind,
  g.state,
  '{"queues": [], "workers": []}'::jsonb AS meta,
  g.suspended,
  g.total - g.suspended - g.completed - g.cancelled - g.discarded - o.executing - o.scheduled - o.retryable AS available,
  o.scheduled,
  o.executing,
  o.retryable,
  g.completed,
  g.cancelled,
  g.discarded,
  g.inserted_at,
  g.started_at,
  CASE WHEN g.state <> 'executing' THEN g.stopped_at END AS completed_at
FROM
  oban_workflow_groups g
  LEFT JOIN oban_workflow_groups p ON p.key = g.parent
  CROSS JOIN LATERAL (
    SELECT
      count(*) FILTER (WHERE j.state = 'executing')::int AS executing,
      count(*) FILTER (WHERE j.state = 'scheduled')::int AS scheduled,
      count(*) FILTER (WHERE j.state = 'retryable')::int AS retryable
    FROM
      oban_workflow_members m
      JOIN oban_jobs j ON j.id = m.id
    WHERE
      g.state = 'executing'
      AND m.group_key = g.key
      AND j.state IN ('executing', 'scheduled', 'retryable')
  ) o;
