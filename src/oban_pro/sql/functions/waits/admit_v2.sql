-- Decide which jobs start that were just inserted, all suspended, into a workflow with rare rules: note the rules,
-- start the clocks of groups whose gates are open, and release the jobs that wait for nothing.
--
-- p_rules are the bits that the jobs and groups bring along. p_key is the group that was extended, NULL for a new root: its
-- final jobs wait again.
--
-- Called by: enqueueing, appending and grafting, last of all. It runs with the rights of the tables' owner, as
-- oban_workflow_add_to_group_v1 does.
-- Locks: rows of the three tables, waits and timers, then suspended jobs; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_admit_v2(p_root bigint, p_rules smallint, p_ids bigint[], p_key bigint)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_rules smallint;
  v_armed record;
  v_queued_at timestamp;
BEGIN
  UPDATE oban_workflow_groups SET rules = COALESCE(rules, 0) | p_rules WHERE key = p_root RETURNING rules, queued_at
  INTO v_rules, v_queued_at;

  -- those of a root that waits in line start with it
  IF v_queued_at IS NULL THEN
    PERFORM oban_workflow_start_group_clocks(p_root);
  END IF;

  IF v_rules & 4 > 0 THEN
    -- groups that were added behind what had been skipped
    PERFORM oban_workflow_note_skips(
      ARRAY(
        SELECT DISTINCT
          m.group_key
        FROM
          unnest(p_ids) AS i(id)
          CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = i.id AND gated OFFSET 0) m
        WHERE
          (SELECT pending <= 0 FROM oban_workflow_members WHERE id = m.group_key)
      )
    );
  END IF;

  PERFORM oban_workflow_check_sight();
  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  IF v_rules & 16 > 0 THEN
    SELECT * FROM oban_workflow_arm_finals(p_ids || p_key, '{}', v_rules) INTO v_armed;

    PERFORM oban_workflow_reopen(v_armed.ids, v_armed.old, v_rules, '{}');
  END IF;

  PERFORM oban_workflow_notify_queues_v1(oban_workflow_propagate('{}', '{}', '{}', '{}', p_ids, v_rules));

  IF v_rules & 1024 > 0 THEN
    -- that of a root that has settled by being inserted
    PERFORM oban_workflow_notify_queues_v1(oban_workflow_hand_over_all(ARRAY[p_root]));
  END IF;

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);
END;
$$;
