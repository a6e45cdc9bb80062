-- Note a schedule as the code has it, and read where it stands and the time of the database. A schedule that nobody has seen
-- before begins now. An unchanged one is not written.
WITH seen AS (
  INSERT INTO /* TEMPLATE: schema */oban_workflow_schedules AS s (name, expression, timezone, catch_up, overlap)
  VALUES
    (%(name)s, %(expression)s, %(timezone)s, %(catch_up)s, %(overlap)s)
  ON CONFLICT (name) DO UPDATE SET
    expression = EXCLUDED.expression,
    timezone = EXCLUDED.timezone,
    catch_up = EXCLUDED.catch_up,
    overlap = EXCLUDED.overlap
  WHERE
    (s.expression, s.timezone, s.catch_up, s.overlap)
      IS DISTINCT FROM (EXCLUDED.expression, EXCLUDED.timezone, EXCLUDED.catch_up, EXCLUDED.overlap)
  RETURNING
    s.last_tick, s.paused_at IS NOT NULL AS paused, s.failing_since
)
SELECT
  timezone('UTC', clock_timestamp()) AS now, last_tick, paused, failing_since
FROM
  (
    SELECT * FROM seen
    UNION ALL
    SELECT
      last_tick, paused_at IS NOT NULL, failing_since
    FROM
      /* TEMPLATE: schema */oban_workflow_schedules
    WHERE
      name = %(name)s
      AND NOT EXISTS (SELECT FROM seen)
  ) s
