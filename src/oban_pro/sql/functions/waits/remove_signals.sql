-- Remove the signals and calls of plain jobs that were deleted. Those of workflows are removed with the workflow.
--
-- Called by: oban_workflow_after_delete, and oban_workflow_prune_jobs, which the trigger does not answer.
-- Locks: the rows that it removes.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_remove_signals(p_jobs bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_plain bigint[];
BEGIN
  -- where nobody signals, deleting jobs costs no lookup for each
  IF NOT EXISTS (SELECT FROM oban_workflow_signals) AND NOT EXISTS (SELECT FROM oban_workflow_awaits) THEN
    RETURN;
  END IF;

  v_plain := ARRAY(
    SELECT
      j.id
    FROM
      unnest(p_jobs) AS j(id)
    WHERE
      NOT EXISTS (SELECT FROM oban_workflow_members WHERE id = j.id OFFSET 0)
  );

  DELETE FROM oban_workflow_signals WHERE job = ANY(v_plain);
  DELETE FROM oban_workflow_awaits WHERE job = ANY(v_plain);
END;
$$;
