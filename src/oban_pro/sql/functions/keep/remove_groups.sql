-- Remove groups from the bookkeeping, with their members and the edges between those. The caller gives groups together
-- with everything nested in them, so that nothing is left behind. p_rules, the rare rules of the roots, say which other
-- rows there may be, such as signals, waits and clocks.
--
-- Called by: oban_workflow_prune_workflows, oban_workflow_free_ids_v1, oban_workflow_repair_v1,
-- oban_workflow_retry_v1.
-- Locks: rows of the three tables; the caller holds the roots.
-- Called twice: removes what is left.
CREATE OR REPLACE FUNCTION oban_workflow_remove_groups(p_groups bigint[], p_rules smallint)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  -- in them, and they themselves in others
  v_members bigint[] := ARRAY(SELECT id FROM oban_workflow_members WHERE group_key = ANY(p_groups)) || p_groups;
BEGIN
  IF p_rules & 1024 > 0 THEN
    PERFORM oban_workflow_notify_queues_v1(oban_workflow_hand_over_all(p_groups));
  END IF;

  PERFORM oban_workflow_remove_waits(v_members, p_rules);
  PERFORM oban_workflow_remove_finals(v_members, p_rules);

  DELETE FROM oban_workflow_edges WHERE upstream = ANY(v_members);
  DELETE FROM oban_workflow_members WHERE id = ANY(v_members);
  DELETE FROM oban_workflow_groups WHERE key = ANY(p_groups);
END;
$$;
