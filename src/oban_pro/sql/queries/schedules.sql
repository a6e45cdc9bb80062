-- All schedules that nodes have seen, by name.
SELECT
  name, expression, timezone, catch_up, overlap, last_tick, paused_at, failing_since, error, missed_tick
FROM
  /* TEMPLATE: schema */oban_workflow_schedules
ORDER BY
  name
