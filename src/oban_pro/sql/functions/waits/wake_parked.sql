-- Check jobs that were parked just now: a job whose signal was sent while it was being parked becomes
-- available at once. Where somebody is sending to a plain job at this moment, the job comes again in a second.
--
-- Called by: oban_workflow_ack_others, whose caller holds the roots.
-- Locks: the advisory locks of plain jobs, without waiting for them; the jobs are its own.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_wake_parked(p_ids bigint[])
RETURNS text[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_job record;
  v_queues text[] := '{}';
BEGIN
  FOR v_job IN
    SELECT id, queue, meta -> 'wait' ->> 'name' AS name, (meta -> 'wait' ->> 'call')::integer AS call
    FROM oban_jobs
    WHERE id = ANY(p_ids)
    ORDER BY id
  LOOP
    IF EXISTS (SELECT FROM oban_workflow_members WHERE id = v_job.id)
      OR pg_try_advisory_xact_lock(hashtextextended('oban_workflows.job', v_job.id))
    THEN
      IF (SELECT answer <> 'waiting' FROM oban_workflow_answer(v_job.id, v_job.name, v_job.call)) THEN
        UPDATE
          oban_jobs
        SET
          state = 'available',
          scheduled_at = v_now,
          meta = meta - ARRAY['wait', 'wait_until']
        WHERE
          id = v_job.id;

        v_queues := v_queues || v_job.queue;
      END IF;
    ELSE
      UPDATE oban_jobs SET scheduled_at = LEAST(scheduled_at, v_now + interval '1 second') WHERE id = v_job.id;
    END IF;
  END LOOP;

  RETURN v_queues;
END;
$$;
