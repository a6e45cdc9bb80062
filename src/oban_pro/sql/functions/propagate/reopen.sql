-- Undo the effects of jobs that had settled and are open again: dependencies that they had satisfied are pending again,
-- groups that they had settled are open again, and empty groups that they had broken wait again. Dependents that were
-- released or cancelled since stay as they are.
--
-- p_ids are jobs that had settled, p_old how; p_rules are the rare rules of the roots. Waits that depend on one of them
-- close, and final jobs of the workflows around them wait again. Their undos no longer count. p_handled are jobs whose rows
-- the caller has changed.
--
-- Called by: oban_workflow_apply_changes, before anything settles. A statement may do both, and a group that
-- seemed to be settled in between would break its dependents for good.
-- Locks: rows of the three tables; the caller holds the root.
-- Called twice: takes back twice.
CREATE OR REPLACE FUNCTION oban_workflow_reopen(p_ids bigint[], p_old text[], p_rules smallint, p_handled bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  -- the wave: members that were settled, jobs and groups alike
  v_ids bigint[] := p_ids;
  v_old text[] := p_old;
  -- of the next wave: groups that are empty, and groups that hold members of this wave
  v_emptied bigint[];
  v_emptied_old text[];
  v_counted bigint[];
  v_counted_old text[];
  -- groups whose gate closes, and groups with one broken dependency less
  v_closed bigint[];
  v_mended bigint[];
  -- jobs that wait again
  v_waiting bigint[];
  -- joins that had more than they need, by what was skipped of them
  v_joins bigint[];
  v_spared integer[];
  -- final jobs that had settled and wait again
  v_armed bigint[] := '{}';
  v_armed_old text[] := '{}';
BEGIN
  IF p_rules & 1 > 0 THEN
    PERFORM oban_workflow_forget_signals(p_ids);
  END IF;

  WHILE cardinality(v_ids) > 0 LOOP
    -- see oban_workflow_wait_on_purpose
    UPDATE oban_workflow_edges SET on_purpose = NULL WHERE upstream = ANY(v_ids) AND on_purpose;

    IF p_rules & 6 = 6 THEN
      SELECT s.ids, s.counts FROM oban_workflow_uncount_skipped(v_ids, v_old) s INTO v_joins, v_spared;
    END IF;

    WITH dependents AS (
      SELECT
        m.id,
        count(*) FILTER (
          WHERE oban_workflow_satisfies_v1(w.old, m.ignore_cancelled, m.ignore_discarded)
        )::int - COALESCE((SELECT s.count FROM unnest(v_joins, v_spared) AS s(id, count) WHERE s.id = m.id), 0) AS lost,
        bool_or(oban_workflow_breaks_v1(w.old, m.ignore_cancelled, m.ignore_discarded)) AS mended
      FROM
        unnest(v_ids, v_old) AS w(id, old)
        CROSS JOIN LATERAL (
          SELECT downstream FROM oban_workflow_edges WHERE upstream = w.id OFFSET 0
        ) e
        CROSS JOIN LATERAL (
          SELECT id, ignore_cancelled, ignore_discarded FROM oban_workflow_members WHERE id = e.downstream OFFSET 0
        ) m
      GROUP BY
        m.id
    ),
    counted AS (
      UPDATE
        oban_workflow_members m
      SET
        pending = m.pending + d.lost
      FROM
        dependents d
      WHERE
        -- ANY: see PLANS.md
        m.id = ANY(ARRAY[d.id])
        AND (d.lost > 0 OR m.id < 0)
      RETURNING
        m.id, m.pending, d.lost, d.mended
    )
    SELECT
      array_agg(c.id) FILTER (WHERE c.id < 0 AND c.pending > 0 AND c.pending - c.lost <= 0),
      array_agg(c.id) FILTER (WHERE c.id < 0 AND c.mended),
      array_agg(c.id) FILTER (WHERE c.id > 0 AND c.pending > 0)
    INTO
      v_closed, v_mended, v_waiting
    FROM
      counted c;

    IF p_rules & 2 > 0 THEN
      PERFORM oban_workflow_mend_joins(v_ids, v_old);
    END IF;

    IF p_rules & 1 > 0 THEN
      PERFORM oban_workflow_close_waits(
        v_waiting || ARRAY(SELECT oban_workflow_gated_in(v_closed)), true
      );
    END IF;

    SELECT r.ids, r.old FROM oban_workflow_reopen_empty(v_closed, v_mended, p_rules) r INTO v_emptied, v_emptied_old;

    SELECT
      c.ids, c.old
    INTO
      v_counted, v_counted_old
    FROM
      oban_workflow_update_counters(
        v_ids, v_old, array_fill('executing'::text, ARRAY[cardinality(v_ids)]), '{}', 0::smallint
      ) c;

    IF p_rules & 256 > 0 THEN
      -- they are open, so that their states do not change by it
      UPDATE
        oban_workflow_groups
      SET
        voided = NULL
      WHERE
        key = ANY(ARRAY(SELECT group_key FROM oban_workflow_members WHERE id = ANY(v_ids)))
        AND voided;
    END IF;

    IF p_rules & 4 > 0 THEN
      PERFORM oban_workflow_forget_skips(v_closed);
    END IF;

    IF p_rules & 16 > 0 THEN
      PERFORM oban_workflow_count_finals(v_ids, v_old, array_fill('executing'::text, ARRAY[cardinality(v_ids)]));

      SELECT a.ids, a.old FROM oban_workflow_arm_finals(v_ids, p_handled, p_rules) a INTO v_armed, v_armed_old;
    END IF;

    v_ids := v_emptied || v_counted || v_armed;
    v_old := v_emptied_old || v_counted_old || v_armed_old;
  END LOOP;

  IF p_rules & 16 > 0 THEN
    PERFORM oban_workflow_forget_undos(p_ids);
  END IF;
END;
$$;
