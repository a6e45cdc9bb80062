-- Settle, snooze or retry jobs that leave more behind than that they have completed: a recorded value, an error,
-- another time to run at. Returns the ids of those that were executing; and of those that settled by it, their
-- ids, new states and when they were attempted.
--
-- Called by: oban_workflow_ack, which carries that through the workflows. Takes its locks.
-- Twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_ack_others(
  p_acks json,
  OUT ids bigint[],
  OUT settled bigint[],
  OUT new text[],
  OUT started timestamp[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
BEGIN
  WITH acked AS (
    UPDATE
      oban_jobs j
    SET
      state = a.state::oban_job_state,
      cancelled_at = CASE WHEN a.state = 'cancelled' THEN v_now ELSE j.cancelled_at END,
      completed_at = CASE WHEN a.state = 'completed' THEN v_now ELSE j.completed_at END,
      discarded_at = CASE WHEN a.state = 'discarded' THEN v_now ELSE j.discarded_at END,
      scheduled_at = CASE WHEN a.schedule_in IS NULL THEN j.scheduled_at ELSE v_now + make_interval(secs => a.schedule_in) END,
      attempt = j.attempt + COALESCE(a.attempt_change, 0),
      errors = CASE WHEN a.error IS NULL THEN j.errors ELSE j.errors || a.error END,
      meta = CASE WHEN a.meta IS NULL THEN j.meta ELSE j.meta || a.meta END
    FROM
      json_to_recordset(p_acks) AS a(
        id bigint,
        attempted_at timestamp,
        state text,
        schedule_in double precision,
        attempt_change integer,
        error jsonb,
        meta jsonb
      )
    WHERE
      -- see oban_workflow_count
      j.id = ANY(ARRAY[a.id])
      AND j.attempted_at = a.attempted_at
      AND (j.state = 'executing') IS TRUE
    RETURNING
      j.id, j.state, j.attempted_at
  )
  SELECT
    array_agg(a.id),
    array_agg(a.id) FILTER (WHERE a.state IN ('completed', 'cancelled', 'discarded')),
    array_agg(a.state::text) FILTER (WHERE a.state IN ('completed', 'cancelled', 'discarded')),
    array_agg(a.attempted_at) FILTER (WHERE a.state IN ('completed', 'cancelled', 'discarded'))
  INTO
    ids, settled, new, started
  FROM
    acked a;
END;
$$;
