-- Hand over the keys of roots among some groups whose states have changed. Returns the queues that have work now.
--
-- Called by: oban_workflow_propagate and oban_workflow_admit_v2, in workflows with keys.
-- Locks: see oban_workflow_hand_over.
-- Called twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_hand_over_all(p_groups bigint[])
RETURNS text[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_root bigint;
  v_queues text[] := '{}';
BEGIN
  FOR v_root IN
    SELECT key FROM oban_workflow_groups WHERE key = ANY(p_groups) AND unique_key IS NOT NULL ORDER BY key
  LOOP
    v_queues := v_queues || oban_workflow_hand_over(v_root);
  END LOOP;

  RETURN v_queues;
END;
$$;
