-- Mend what is wrong with the key of a root: hand on a key that is held without need, start a root that waits in line behind
-- nobody, let a root that runs without its key take it if it is free. Returns how many of these it mended.
--
-- Called by: oban_workflow_repair_v1.
-- Locks: see oban_workflow_hand_over and oban_workflow_retake_v1; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_repair_key(p_root bigint)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_wrong record;
BEGIN
  SELECT e.field, g.id, g.state FROM oban_workflow_expected_keys(p_root) e JOIN oban_workflow_groups g USING (key) INTO v_wrong;

  IF NOT FOUND THEN
    RETURN 0;
  END IF;

  IF v_wrong.state <> 'executing' THEN
    PERFORM oban_workflow_notify_queues_v1(oban_workflow_hand_over(p_root));
    RETURN 1;
  END IF;

  UPDATE oban_workflow_groups SET queued_at = 'infinity' WHERE key = p_root AND queued_at IS NOT NULL;

  BEGIN
    PERFORM oban_workflow_retake_v1(v_wrong.id);
  EXCEPTION
    WHEN SQLSTATE 'OBW17' THEN
      RETURN 0;
  END;

  RETURN 1;
END;
$$;
