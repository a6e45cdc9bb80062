-- The jobs that a retry runs again in a root where something may be undone, and those of them that run again although they
-- have completed. Without names these are the jobs that were undone, and all that is downstream of them; the undos
-- themselves are left. A named undo runs again unless it has completed, with the undos that it had broken.
--
-- Called by: oban_workflow_retry_v1. Locks nothing; the caller holds the root.
CREATE OR REPLACE FUNCTION oban_workflow_go_forward(
  p_id text,
  p_names text[],
  p_jobs bigint[],
  OUT jobs bigint[],
  OUT anew bigint[]
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_undoing bigint[] := ARRAY(SELECT oban_workflow_undoing((SELECT root FROM oban_workflow_groups WHERE id = p_id)));
  v_spared bigint[] := v_undoing || ARRAY(SELECT id FROM oban_workflow_finals WHERE id = ANY(p_jobs));
BEGIN
  IF p_names IS NULL THEN
    anew := ARRAY(
      SELECT d.id FROM oban_workflow_downstream_of(ARRAY(SELECT oban_workflow_undone(p_jobs))) d INTERSECT SELECT unnest(p_jobs)
      EXCEPT SELECT unnest(v_spared)
    );
    jobs := ARRAY(SELECT unnest(p_jobs) EXCEPT SELECT unnest(v_undoing));
  ELSE
    anew := ARRAY(SELECT unnest(p_jobs) EXCEPT SELECT unnest(v_undoing));
    jobs := p_jobs || ARRAY(
      SELECT d.id FROM oban_workflow_downstream_of(ARRAY(SELECT unnest(p_jobs) INTERSECT SELECT unnest(v_undoing))) d
      INTERSECT SELECT unnest(v_undoing)
    );
  END IF;
END;
$$;
