-- Find out which limits queues have over all nodes: the strictest that a living producer announced. Jobs are told apart
-- only where all of them say by what.
--
-- Called by: the triggers on oban_producers, and oban_workflow_silent_jobs_v1 with producers that vanished.
-- Locks: an advisory lock, because of two simultaneous announcements the later must read the earlier; then rows of
-- oban_workflow_queues.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_refresh_queues(p_queues text[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('oban_workflows.queues ' || current_schema(), 0));

  WITH announced AS (
    SELECT
      queue, limits
    FROM
      oban_workflow_producers
    WHERE
      queue = ANY(p_queues)
      AND limits IS NOT NULL
      AND left_at IS NULL
  ),
  rates AS (
    SELECT DISTINCT ON (queue)
      queue, (limits ->> 'allowed')::integer AS allowed, (limits ->> 'period')::double precision AS period
    FROM
      announced
    WHERE
      limits ? 'allowed'
    ORDER BY
      queue, (limits ->> 'allowed')::double precision / (limits ->> 'period')::double precision, (limits ->> 'allowed')::integer
  ),
  strictest AS (
    SELECT
      a.queue,
      min((a.limits ->> 'global_limit')::integer) AS global_limit,
      CASE WHEN bool_and(a.limits ? 'fields') THEN min(jsonb_build_array(a.limits -> 'fields', a.limits -> 'keys')::text) END AS partition
    FROM
      announced a
    GROUP BY
      a.queue
  ),
  expected AS (
    SELECT
      s.queue,
      s.global_limit,
      r.allowed,
      r.period,
      ARRAY(SELECT jsonb_array_elements_text(s.partition::jsonb -> 0)) AS fields,
      CASE
        WHEN jsonb_typeof(s.partition::jsonb -> 1) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(s.partition::jsonb -> 1))
      END AS keys
    FROM
      strictest s
      LEFT JOIN rates r ON r.queue = s.queue
  ),
  gone AS (
    DELETE FROM
      oban_workflow_queues
    WHERE
      queue = ANY(p_queues)
      AND queue NOT IN (SELECT queue FROM announced)
  )
  INSERT INTO oban_workflow_queues AS q (queue, global_limit, allowed, period, fields, keys)
  SELECT
    e.queue, e.global_limit, e.allowed, e.period, NULLIF(e.fields, '{}'), e.keys
  FROM
    expected e
  ON CONFLICT ON CONSTRAINT oban_workflow_queues_pkey DO UPDATE
  SET
    global_limit = excluded.global_limit,
    allowed = excluded.allowed,
    period = excluded.period,
    fields = excluded.fields,
    keys = excluded.keys
  WHERE
    (q.global_limit, q.allowed, q.period, q.fields, q.keys)
      IS DISTINCT FROM (excluded.global_limit, excluded.allowed, excluded.period, excluded.fields, excluded.keys);

  DELETE FROM
    oban_workflow_windows w
  WHERE
    w.queue = ANY(p_queues)
    AND NOT EXISTS (SELECT FROM oban_workflow_queues q WHERE q.queue = w.queue AND q.allowed IS NOT NULL);
END;
$$;
