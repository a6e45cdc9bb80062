-- Settle, snooze or retry a batch of executed jobs in one statement; returns the ids that were.
--
-- Called by: our query.ack_jobs, with a JSON array of acks.
-- Locks: the roots of all jobs first, then the jobs, so that acks queue up instead of dead-locking. A
-- writer that only the trigger sees comes the other way round; where the two meet, this one gives up after
-- lock_timeout, long before PostgreSQL would look for a deadlock, and the caller tries again.
-- Twice: an ack counts only for the very execution it came from (executing, and attempted_at is equal).
CREATE OR REPLACE FUNCTION oban_workflow_ack(p_acks json)
RETURNS SETOF bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
BEGIN
  IF oban_workflow_lock_roots(ARRAY(SELECT (a.value ->> 'id')::bigint FROM json_array_elements(p_acks) a)) THEN
    PERFORM set_config('lock_timeout', '25ms', true);
    PERFORM set_config('oban_workflows.roots', 'held', true);
  ELSE
    PERFORM set_config('oban_workflows.roots', 'none', true);
  END IF;

  RETURN QUERY
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
    j.id = a.id
    AND j.attempted_at = a.attempted_at
    -- IS TRUE keeps the planner off the index on states, which is up to seven times slower here
    AND (j.state = 'executing') IS TRUE
  RETURNING
    j.id;

  PERFORM set_config('oban_workflows.roots', '', true);
END;
$$;
