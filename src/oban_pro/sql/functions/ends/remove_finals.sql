-- Remove what was kept about final jobs, about jobs with an undo, and about the workflows of both. p_rules are the rare rules
-- of their roots.
--
-- Called by: oban_workflow_remove_groups, oban_workflow_prune_large.
-- Locks: rows of these tables; the caller holds the roots.
-- Called twice: removes what is left.
CREATE OR REPLACE FUNCTION oban_workflow_remove_finals(p_members bigint[], p_rules smallint)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  IF p_rules & 16 > 0 THEN
    DELETE FROM oban_workflow_finals WHERE id = ANY(p_members);
    DELETE FROM oban_workflow_undos WHERE id = ANY(p_members);
    DELETE FROM oban_workflow_ends WHERE group_key = ANY(p_members);
  END IF;
END;
$$;
