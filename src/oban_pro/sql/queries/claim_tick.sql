-- Move a schedule on to a tick; a row if that was done, none if another node had done it, or somebody has paused it. Whoever
-- commits it has fired the tick: it belongs into the transaction that inserts the workflow.
UPDATE
  /* TEMPLATE: schema */oban_workflow_schedules
SET
  last_tick = timezone('UTC', %(moment)s::timestamptz),
  failing_since = NULL,
  error = %(error)s,
  missed_tick = CASE WHEN %(missed)s THEN timezone('UTC', %(moment)s::timestamptz) ELSE missed_tick END
WHERE
  name = %(name)s
  AND last_tick < timezone('UTC', %(moment)s::timestamptz)
  AND paused_at IS NULL
RETURNING
  last_tick
