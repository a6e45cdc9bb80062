-- Note that the function of a schedule raised for the tick that is due. Returns for how many seconds it has done so.
UPDATE
  /* TEMPLATE: schema */oban_workflow_schedules
SET
  failing_since = COALESCE(failing_since, timezone('UTC', now())),
  error = %(error)s
WHERE
  name = %(name)s
  AND last_tick < timezone('UTC', %(moment)s::timestamptz)
RETURNING
  extract(epoch FROM timezone('UTC', now()) - failing_since)::double precision AS failing
