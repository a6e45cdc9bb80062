-- Run members of workflows again with everything that depends on them, at any distance: all of it waits, and runs in
-- order. Returns how many jobs it reopened or made wait; those that waited already, and final jobs, do not count.
--
-- The n-th member is the n-th of p_names in the n-th of p_workflows; all are of one root. What executes is told to stop,
-- and runs again once that execution has ended. Grafters that had completed, or depend on something that runs again, graft
-- anew: what they had grafted is removed, as by oban_workflow_retry_v1.
--
-- Called by: Workflow.retry_jobs, and the page.
-- Locks: the root first, then the jobs, as oban_workflow_cancel_v3 does.
-- Called twice: members that are available stay so, and what depends on them waits already.
CREATE OR REPLACE FUNCTION oban_workflow_rerun_v1(p_workflows text[], p_names text[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_rules smallint := oban_workflow_lock_root_rules(p_workflows[1]);
  v_jobs bigint[];
  v_follow boolean[];
  v_grafts bigint[];
  v_grafted bigint[];
  v_removed bigint[];
  v_ids bigint[];
  v_executing bigint[];
  v_finals bigint[];
  v_emptied bigint[];
  v_count integer;
BEGIN
  IF v_rules IS NULL THEN
    RETURN 0;
  END IF;

  PERFORM set_config('lock_timeout', '25ms', true);

  SELECT
    array_agg(d.id), array_agg(d.follows)
  INTO
    v_jobs, v_follow
  FROM
    oban_workflow_downstream_of(ARRAY(
      SELECT
        m.id
      FROM
        unnest(p_workflows, p_names) AS n(workflow, name)
        CROSS JOIN LATERAL (SELECT key FROM oban_workflow_groups WHERE id = n.workflow OFFSET 0) g
        CROSS JOIN LATERAL (
          SELECT id FROM oban_workflow_members WHERE group_key = g.key AND name = n.name OFFSET 0
        ) m
    )) d
  WHERE
    -- what undoes is planned anew
    v_rules & 16 = 0
    OR d.id NOT IN (
      SELECT oban_workflow_undoing((SELECT root FROM oban_workflow_groups WHERE id = p_workflows[1]))
    );

  v_grafts := ARRAY(SELECT oban_workflow_regrafted(v_jobs, v_follow));
  v_grafted := ARRAY(SELECT oban_workflow_grafted_to(v_grafts));
  v_removed := ARRAY(SELECT id FROM oban_workflow_members WHERE group_key = ANY(v_grafted) AND id > 0);

  SELECT
    array_agg(j.id) FILTER (WHERE j.changes),
    array_agg(j.id) FILTER (WHERE j.state = 'executing'),
    array_agg(j.id) FILTER (WHERE j.is_final AND j.follows),
    count(*) FILTER (WHERE j.changes AND j.state <> 'suspended' AND NOT j.is_final)
  INTO
    v_ids, v_executing, v_finals, v_count
  FROM (
    SELECT
      j.id,
      j.state,
      d.follows,
      r.id IS NULL AND CASE j.state
        WHEN 'available' THEN d.follows OR j.remembers
        WHEN 'scheduled' THEN d.follows OR j.has_begun
        WHEN 'suspended' THEN j.remembers AND (d.follows OR j.has_begun)
        ELSE true
      END AS changes,
      v_rules & 16 > 0 AND EXISTS (SELECT FROM oban_workflow_finals f WHERE f.id = j.id) AS is_final
    FROM
      (
        SELECT
          id,
          state,
          attempted_at IS NOT NULL AS has_begun,
          -- the meta of others may be large
          state IN ('available', 'suspended') AND meta ?| ARRAY['turn', 'recorded', 'workflow_judged', 'paused_from'] AS remembers
        FROM
          oban_jobs
        WHERE
          id = ANY(v_jobs || v_removed)
        ORDER BY
          id
        FOR NO KEY UPDATE
      ) j
      LEFT JOIN unnest(v_jobs, v_follow) AS d(id, follows) ON d.id = j.id
      LEFT JOIN unnest(v_removed) AS r(id) ON r.id = j.id
  ) j;

  IF v_finals IS NOT NULL THEN
    v_emptied := oban_workflow_close_empty(v_finals);
  END IF;

  PERFORM oban_workflow_run_again(v_ids, true);
  PERFORM oban_workflow_remove_grafted(v_grafts, v_grafted, v_removed, v_rules);
  PERFORM oban_workflow_signal_stop(v_executing);

  IF v_emptied IS NOT NULL THEN
    PERFORM oban_workflow_open_empty(v_emptied);
  END IF;

  RETURN v_count;
END;
$$;
