-- Pause a schedule, or let it go on; what was missed in between is gone. Returns whether that changed it.
UPDATE
  /* TEMPLATE: schema */oban_workflow_schedules
SET
  paused_at = CASE WHEN %(paused)s THEN timezone('UTC', now()) END,
  last_tick = CASE WHEN %(paused)s THEN last_tick ELSE timezone('UTC', now()) END,
  failing_since = NULL
WHERE
  name = %(name)s
  AND (paused_at IS NULL) = %(paused)s
RETURNING
  name
