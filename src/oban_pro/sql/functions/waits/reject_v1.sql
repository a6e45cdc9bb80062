-- Refuse a wait, or all waits in a group except timers: they settle as cancelled, whether they are open or not. Returns
-- how many did. A wait that has settled, or has all signals it needs, stays as it is.
--
-- Called by: handles.
-- Locks: the root first, then the jobs, and as the triggers do.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_reject_v1(p_id text, p_path text, p_reason text, p_sender text)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_member bigint := oban_workflow_lock_member(p_id, p_path);
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_refused bigint[];
BEGIN
  IF v_member > 0 AND NOT EXISTS (SELECT FROM oban_workflow_waits WHERE id = v_member) THEN
    RAISE EXCEPTION USING
      MESSAGE = 'job ' || quote_literal(p_path) || ' of workflow ' || quote_literal(p_id)
        || ' is no wait, so it cannot be rejected; cancel it instead',
      ERRCODE = 'OBW13';
  END IF;

  v_refused := ARRAY(
    SELECT w.id FROM oban_workflow_waits_in(v_member) w WHERE oban_workflow_takes(w, NULL) ORDER BY w.id
  );

  -- also one that is not open yet forgets what was sent to it, once it is retried
  UPDATE oban_workflow_waits SET opened_at = COALESCE(opened_at, v_now) WHERE id = ANY(v_refused);

  UPDATE
    oban_jobs
  SET
    state = 'cancelled',
    cancelled_at = v_now,
    errors = errors || oban_workflow_job_error(attempt, 'rejected' || oban_workflow_by_whom(p_reason, p_sender), v_now)
  WHERE
    id = ANY(v_refused);

  RETURN cardinality(v_refused);
END;
$$;
