-- Take the lock that orders the signals to a job, unless it is taken; returns whether that worked. It is the root of
-- the job's workflow, or an advisory lock for a plain job. (A lock on the job's own row would hide it from fetching,
-- and a sender that does not commit would block all acks of the job's node.)
--
-- Called by: oban_workflow_await_v1.
-- Locks: see above; never waits.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_job(p_job bigint)
RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_root bigint := (
    SELECT g.root FROM oban_workflow_members m JOIN oban_workflow_groups g ON g.key = m.group_key WHERE m.id = p_job
  );
BEGIN
  IF v_root IS NULL THEN
    RETURN pg_try_advisory_xact_lock(hashtextextended('oban_workflows.job', p_job));
  END IF;

  PERFORM FROM oban_workflow_groups WHERE key = v_root FOR NO KEY UPDATE SKIP LOCKED;

  RETURN FOUND;
END;
$$;
