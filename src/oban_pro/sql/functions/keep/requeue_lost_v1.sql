-- Take executions back that nobody runs any more. Returns how many jobs became available or were discarded, and the ids
-- of jobs that were skipped because they or their workflows are locked.
--
-- A job with attempts left becomes available, any other discarded, and its errors say why. p_stamps are when the
-- executions began: a job that has settled since, or was taken again, is skipped. p_reasons say why each execution is
-- taken back; NULL means that it never began, so that the attempt does not count. If p_waits, it waits a moment for
-- locks, else it skips what is locked. Executions of jobs that somebody stopped are noted as ended.
--
-- Called by: nodes, with what oban_workflow_silent_jobs_v1 found, with executions that their own producers do not have,
-- and with jobs that they took and cannot start.
-- Locks: the roots, then the jobs; gives up after lock_timeout, and the caller tries again.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_requeue_lost_v1(
  p_ids bigint[],
  p_stamps timestamp[],
  p_reasons text[],
  p_waits boolean,
  OUT requeued integer,
  OUT held bigint[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_ids bigint[];
  v_stamps timestamp[];
  v_reasons text[];
  v_queues text[];
BEGIN
  -- whoever ran them has given them up: see oban_workflow_hold_unended
  PERFORM set_config('oban_workflows.given_up', 'on', true);
  PERFORM set_config('lock_timeout', '200ms', true);

  IF p_waits THEN
    PERFORM oban_workflow_lock_roots(p_ids);
    held := '{}';
  ELSE
    held := oban_workflow_lock_unheld(p_ids);
  END IF;

  SELECT
    array_agg(e.id), array_agg(e.attempted_at), array_agg(e.reason)
  INTO
    v_ids, v_stamps, v_reasons
  FROM
    unnest(p_ids, p_stamps, p_reasons) AS e(id, attempted_at, reason)
  WHERE
    e.id NOT IN (SELECT h.id FROM unnest(held) AS h(id));

  WITH lost AS (
    SELECT
      j.id, e.reason, e.reason IS NOT NULL AND j.attempt >= j.max_attempts AS is_last
    FROM
      oban_jobs j
      JOIN unnest(v_ids, v_stamps, v_reasons) AS e(id, attempted_at, reason) ON e.id = j.id
    WHERE
      -- still the execution that was lost: the job has neither settled nor started again since
      j.attempted_at IS NOT DISTINCT FROM e.attempted_at
      AND (j.state = 'executing' OR (j.state = 'available' AND j.attempt >= j.max_attempts)) IS TRUE
    ORDER BY
      j.id
    FOR NO KEY UPDATE OF j
  ),
  taken_back AS (
    UPDATE
      oban_jobs j
    SET
      state = CASE WHEN l.is_last THEN 'discarded' ELSE 'available' END::oban_job_state,
      discarded_at = CASE WHEN l.is_last THEN v_now ELSE j.discarded_at END,
      attempt = CASE WHEN l.reason IS NULL THEN j.attempt - 1 ELSE j.attempt END,
      errors = CASE
        WHEN l.reason IS NULL THEN j.errors
        ELSE j.errors || oban_workflow_job_error(j.attempt, l.reason, v_now)
      END,
      meta = CASE
        WHEN l.reason IS NULL OR l.is_last THEN j.meta
        ELSE j.meta || jsonb_build_object('rescued', COALESCE((j.meta ->> 'rescued')::int, 0) + 1)
      END
    FROM
      lost l
    WHERE
      j.id = l.id
    RETURNING
      j.queue, j.state
  )
  SELECT
    count(*), array_agg(DISTINCT t.queue) FILTER (WHERE t.state = 'available')
  INTO
    requeued, v_queues
  FROM
    taken_back t;

  v_queues := v_queues || oban_workflow_end_executions(v_ids, v_stamps, NULL);

  PERFORM oban_workflow_notify_queues_v1(v_queues);

  PERFORM set_config('oban_workflows.given_up', '', true);
END;
$$;
