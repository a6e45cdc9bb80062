-- Jobs of some workflows that follow an execution that has not ended: see oban_workflow_behind_jobs.
--
-- Called by: oban_workflow_unready, oban_workflow_end_executions, oban_workflow_stuck_jobs. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_behind_unended(p_roots bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT oban_workflow_behind_jobs(ARRAY(SELECT u.id FROM oban_workflow_unended u WHERE u.root = ANY(p_roots)))
$$;
