-- Move a schedule on to a tick. Returns the last tick before that if this call moved it; no row if another node had done so,
-- or if the schedule is paused. The commit of this statement fires the tick, so it belongs into the transaction that inserts
-- the workflow.
UPDATE
  /* TEMPLATE: schema */oban_workflow_schedules AS s
SET
  last_tick = timezone('UTC', %(moment)s::timestamptz),
  failing_since = NULL,
  error = %(error)s,
  missed_tick = CASE WHEN %(missed)s THEN timezone('UTC', %(moment)s::timestamptz) ELSE s.missed_tick END
FROM
  (SELECT name, last_tick FROM /* TEMPLATE: schema */oban_workflow_schedules WHERE name = %(name)s FOR NO KEY UPDATE) AS before
WHERE
  s.name = before.name
  AND s.last_tick < timezone('UTC', %(moment)s::timestamptz)
  AND s.paused_at IS NULL
RETURNING
  before.last_tick
