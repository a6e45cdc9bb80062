-- The open jobs that oban_workflow_cancel_v3 is going to cancel.
--
-- Called by: Workflow.cancel_jobs, before it cancels several parts of a workflow. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_cancelling_v1(p_id text, p_names text[], p_finals boolean)
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_jobs bigint[] := ARRAY(SELECT oban_workflow_jobs_of(p_id, p_names));
BEGIN
  IF NOT p_finals THEN
    v_jobs := ARRAY(SELECT oban_workflow_spare_ends(p_id, p_names, v_jobs));
  END IF;

  RETURN QUERY
  SELECT id FROM oban_jobs WHERE id = ANY(v_jobs) AND oban_workflow_is_settled_v1(state::text) IS FALSE;
END;
$$;
