-- Lock what signals to a job are ordered by, unless somebody holds it; returns whether it was locked. That is the root of
-- its workflow, or an advisory lock for a plain job. (Its own row would make fetching pass it over, and all acks of its
-- node wait for a sender that does not commit.)
--
-- Called by: oban_workflow_await_v1.
-- Locks: see above; never waits.
-- Twice: changes nothing.
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
