-- Take back what undoes workflows in which something else is open again: the graft is removed, so that what is undone
-- later is planned anew. An execution that goes on is told to stop, and what it undoes runs again after its end. A job
-- that was undone counts as undone until it runs again. Undos that had been waived may be planned again.
--
-- Called by: oban_workflow_arm_finals, with workflows around what has opened.
-- Locks: the jobs, then rows of the other tables; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_take_undos_back(p_keys bigint[], p_rules smallint)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_end record;
  v_groups bigint[];
  v_jobs bigint[];
  v_done bigint[];
  v_running record;
BEGIN
  FOR v_end IN
    SELECT
      e.group_key, e.undo
    FROM
      oban_workflow_ends e
    WHERE
      e.group_key = ANY(p_keys)
      AND e.undo IS NOT NULL
      AND oban_workflow_body_counts(e.group_key, false) IS NULL
  LOOP
    v_groups := v_end.undo || ARRAY(SELECT oban_workflow_grafted_to(ARRAY[v_end.undo]));
    v_jobs := ARRAY(SELECT m.id FROM oban_workflow_members m WHERE m.group_key = ANY(v_groups) AND m.id > 0);

    PERFORM FROM oban_jobs WHERE id = ANY(v_jobs) ORDER BY id FOR NO KEY UPDATE;

    SELECT
      array_agg(u.id) FILTER (WHERE j.state = 'executing') AS ids,
      array_agg(j.attempted_at) FILTER (WHERE j.state = 'executing') AS stamps,
      array_agg(j.producer) FILTER (WHERE j.state = 'executing') AS producers,
      -- what vanished without a trace may have done its work, as may an execution that was stopped and goes on
      array_agg(u.id) FILTER (
        WHERE COALESCE(j.state, m.gone, 'completed') IN ('executing', 'completed')
          OR EXISTS (SELECT FROM oban_workflow_unended e WHERE e.id = u.id)
      ) AS done
    INTO
      v_running
    FROM
      (SELECT undo_id AS id FROM oban_workflow_undos WHERE undo_id = ANY(v_jobs) OFFSET 0) u
      CROSS JOIN LATERAL (SELECT gone FROM oban_workflow_members WHERE id = u.id OFFSET 0) m
      LEFT JOIN LATERAL (
        SELECT state::text, attempted_at, attempted_by[2] AS producer FROM oban_jobs WHERE id = u.id OFFSET 0
      ) j ON true;

    v_done := COALESCE(v_running.done, '{}');

    UPDATE oban_workflow_undos SET undo_id = NULL WHERE undo_id = ANY(v_jobs) AND undo_id <> ALL(v_done);

    IF v_running.ids IS NOT NULL THEN
      PERFORM oban_workflow_note_unended(v_running.ids, v_running.stamps, v_running.producers);
      PERFORM oban_workflow_signal_stop(v_running.ids);
    END IF;

    UPDATE
      oban_workflow_groups g
    SET
      subs = g.subs - 1,
      subs_completed = g.subs_completed - (u.state = 'completed')::int,
      subs_cancelled = g.subs_cancelled - (u.state = 'cancelled')::int,
      subs_discarded = g.subs_discarded - (u.state = 'discarded')::int
    FROM
      oban_workflow_groups u
    WHERE
      g.key = v_end.group_key
      AND u.key = v_end.undo;

    DELETE FROM oban_jobs WHERE id = ANY(v_jobs);

    PERFORM oban_workflow_remove_groups(v_groups, p_rules);

    UPDATE oban_workflow_ends SET undo = NULL WHERE group_key = v_end.group_key;
  END LOOP;
END;
$$;
