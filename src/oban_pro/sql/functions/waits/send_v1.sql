-- Send a signal to jobs: to their calls of await_signal or, if a job is a wait, to the wait. Returns how many took it;
-- settled jobs take none. Signals that come early are kept. A job that is parked for this signal becomes available.
--
-- If p_strict, it raises if there is no such job.
--
-- Called by: signal(), oban_workflow_signal_v1.
-- Locks: the roots, ascending, then the advisory locks of plain jobs, ascending; then the jobs.
-- Called twice: each signal counts once.
CREATE OR REPLACE FUNCTION oban_workflow_send_v1(
  p_jobs bigint[],
  p_payload bytea,
  p_choice text,
  p_sender text,
  p_name text,
  p_strict boolean
)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_name text := COALESCE(p_name, '');
  v_now timestamp;
  v_job record;
  v_taken integer := 0;
  v_queues text[];
BEGIN
  PERFORM oban_workflow_lock_roots(p_jobs);

  FOR v_job IN
    SELECT DISTINCT
      u.id, j.state::text AS state, g.id AS workflow, oban_workflow_path_v1(m.id) AS path,
      EXISTS (SELECT FROM oban_workflow_waits w WHERE w.id = u.id) AS is_wait
    FROM
      unnest(p_jobs) AS u(id)
      LEFT JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = u.id OFFSET 0) j ON true
      LEFT JOIN LATERAL (SELECT id, group_key FROM oban_workflow_members WHERE id = u.id OFFSET 0) m ON true
      LEFT JOIN LATERAL (SELECT id FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) g ON true
    ORDER BY
      u.id
  LOOP
    IF v_job.state IS NULL AND p_strict THEN
      RAISE EXCEPTION USING MESSAGE = 'there is no job ' || v_job.id, ERRCODE = 'OBW14';
    END IF;

    CONTINUE WHEN v_job.state IS NULL;

    IF v_job.is_wait THEN
      v_taken := v_taken + oban_workflow_signal_waits(ARRAY[v_job.id], p_payload, p_choice, p_sender, p_name);
      CONTINUE;
    END IF;

    IF v_job.workflow IS NULL THEN
      PERFORM pg_advisory_xact_lock(hashtextextended('oban_workflows.job', v_job.id));
    END IF;

    v_now := timezone('UTC', clock_timestamp());

    -- it may have settled while this waited
    IF (SELECT oban_workflow_is_settled_v1(state::text) FROM oban_jobs WHERE id = v_job.id) IS NOT FALSE THEN
      CONTINUE;
    END IF;

    INSERT INTO oban_workflow_signals (job, name, sender, payload, sent_at)
    VALUES (v_job.id, v_name, p_sender, p_payload, v_now);

    v_taken := v_taken + 1;

    PERFORM pg_notify(current_schema() || '.oban_workflow_signal', json_build_object('job', v_job.id)::text);

    WITH woken AS (
      UPDATE
        oban_jobs
      SET
        state = CASE WHEN state = 'scheduled' THEN 'available' ELSE state END,
        scheduled_at = v_now,
        meta = meta - ARRAY['wait', 'wait_until']
      WHERE
        id = v_job.id
        -- while it is paused it stays suspended
        AND (state = 'scheduled' OR (state = 'suspended' AND meta ? 'paused_from')) IS TRUE
        AND meta #>> '{wait,name}' = v_name
      RETURNING
        queue
    )
    SELECT v_queues || array_agg(queue) INTO v_queues FROM woken;
  END LOOP;

  PERFORM oban_workflow_notify_queues_v1(v_queues);

  RETURN v_taken;
END;
$$;
