-- Insert clocks of jobs and groups. A deadline at a moment runs at once; others start later.
INSERT INTO /* TEMPLATE: schema */oban_workflow_timers (
  target, kind, root, lasts, moment, due, error
)
SELECT
  t.target, t.kind, t.root, t.seconds, t.moment, CASE WHEN t.kind <> 'wait' THEN t.moment END, t.error
FROM
  json_to_recordset(%(timers)s::json) AS t(
    target bigint,
    kind text,
    root bigint,
    seconds double precision,
    moment timestamp,
    error text
  )
