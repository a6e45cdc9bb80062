-- The jobs that undo something in workflows of a root, and those that plan this.
--
-- Called by: oban_workflow_finals_of, oban_workflow_spare_ends, oban_workflow_retry_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_undoing(p_root bigint)
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    j.id
  FROM
    oban_workflow_jobs_in(ARRAY(SELECT e.undo FROM oban_workflow_ends e WHERE e.root = p_root AND e.undo < 0)) j
$$;
