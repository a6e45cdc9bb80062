-- Cancel the open jobs of a workflow, nested ones included, or of some of its members; returns how many.
-- Executing ones are marked at once and their nodes told to signal the worker; their late ack finds a job that
-- is no longer executing.
--
-- Called by: Workflow.cancel_jobs. The trigger carries the change on: dependents that are not among these
-- jobs are cancelled too, unless they ignore it.
-- Locks: the root first, then the jobs; gives up after lock_timeout where somebody holds a job and waits
-- for the root, and the caller tries again.
-- Twice: settled jobs stay as they are.
CREATE OR REPLACE FUNCTION oban_workflow_cancel(p_id text, p_names text[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_ids bigint[];
  v_executing bigint[];
BEGIN
  IF NOT oban_workflow_lock(p_id) THEN
    RETURN 0;
  END IF;

  PERFORM set_config('lock_timeout', '25ms', true);

  SELECT
    array_agg(j.id), array_agg(j.id) FILTER (WHERE j.state = 'executing')
  INTO
    v_ids, v_executing
  FROM (
    SELECT
      id, state
    FROM
      oban_jobs
    WHERE
      id IN (SELECT oban_workflow_jobs_of(p_id, p_names))
      AND (state NOT IN ('completed', 'cancelled', 'discarded')) IS TRUE
    ORDER BY
      id
    FOR NO KEY UPDATE
  ) j;

  UPDATE
    oban_jobs
  SET
    state = 'cancelled',
    cancelled_at = v_now,
    meta = meta || jsonb_build_object('cancel_attempted_at', v_now)
  WHERE
    id = ANY(v_ids);

  PERFORM
    pg_notify(current_schema() || '.oban_signal', json_build_object('action', 'pkill', 'job_id', u.id)::text)
  FROM
    unnest(v_executing) AS u(id);

  RETURN COALESCE(cardinality(v_ids), 0);
END;
$$;
