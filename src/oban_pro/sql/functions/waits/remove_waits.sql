-- Remove what was kept about the joins, waits, signals, clocks and pauses of members. p_rules are the rare rules of their
-- roots.
--
-- Called by: oban_workflow_remove_groups, oban_workflow_prune_large.
-- Locks: rows of these tables; the caller holds the roots.
-- Called twice: removes what is left.
CREATE OR REPLACE FUNCTION oban_workflow_remove_waits(p_members bigint[], p_rules smallint)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  IF p_rules & 2 > 0 THEN
    DELETE FROM oban_workflow_joins WHERE id = ANY(p_members);
  END IF;

  IF p_rules & 64 > 0 THEN
    DELETE FROM oban_workflow_pauses WHERE target = ANY(p_members);
  END IF;

  IF p_rules & 1024 > 0 THEN
    DELETE FROM oban_workflow_keys WHERE holder = ANY(p_members);
  END IF;

  IF p_rules & 1097 > 0 THEN
    DELETE FROM oban_workflow_timers WHERE target = ANY(p_members);
    DELETE FROM oban_workflow_waits WHERE id = ANY(p_members);
    DELETE FROM oban_workflow_signals WHERE job = ANY(p_members);
    DELETE FROM oban_workflow_awaits WHERE job = ANY(p_members);
  END IF;
END;
$$;
