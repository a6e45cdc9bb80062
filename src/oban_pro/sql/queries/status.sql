-- Counters of a workflow and all nested ones, parents first, when each was retried last, its open waits, its pause, its
-- limit and its skipped jobs; and the attributes of a root.
SELECT
  s.key,
  s.parent,
  s.id,
  s.name,
  s.sub_name,
  s.kind,
  s.state,
  s.total,
  s.suspended,
  s.scheduled,
  s.executing,
  s.retryable,
  s.completed,
  s.cancelled,
  s.discarded,
  s.started_at,
  s.stopped_at,
  m.retried_at,
  COALESCE(m.waits, 0) AS waits,
  m.paused_at,
  m.paused_by,
  m.max_open,
  CASE
    WHEN s.parent IS NULL THEN (SELECT attributes::text FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = s.key)
  END AS attributes,
  COALESCE(m.skipped, 0) AS skipped
FROM
  /* TEMPLATE: schema */oban_workflow_status_v1(%(id)s) WITH ORDINALITY s
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_status_marks_v2(%(id)s) m ON m.key = s.key
ORDER BY
  s.ordinality
