-- Make final jobs wait again, because something else of their workflow is open again. This concerns the workflows
-- around the given members, and final jobs that run or have settled as well. Returns the final jobs that had settled,
-- and how, so that the caller can take back what they meant to others. A final job that runs starts again only after
-- its execution has ended. One that cannot run again, because the row of what it depends on is gone, stays as it is. What
-- undoes these workflows is removed.
--
-- p_handled are jobs whose rows the caller has changed itself.
--
-- Called by: oban_workflow_reopen, oban_workflow_admit_v2, once the members are counted.
-- Locks: as oban_workflow_take_undos_back; rows of oban_workflow_ends, of members and of groups, then the jobs; the caller
-- holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_arm_finals(
  p_ids bigint[],
  p_handled bigint[],
  p_rules smallint,
  OUT ids bigint[],
  OUT old text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_around bigint[] := ARRAY(SELECT oban_workflow_ends_around(p_ids));
  v_finals bigint[];
  v_lost bigint[];
  v_armed bigint[];
  v_stopped bigint[];
  v_stamps timestamp[];
  v_producers text[];
BEGIN
  ids := '{}';
  old := '{}';

  PERFORM oban_workflow_take_undos_back(v_around, p_rules);

  WITH opened AS (
    UPDATE
      oban_workflow_ends e
    SET
      outcome = NULL
    WHERE
      e.group_key = ANY(v_around)
      AND e.outcome IS NOT NULL
      AND oban_workflow_body_state(e.group_key) IS NULL
    RETURNING
      e.group_key
  )
  SELECT
    array_agg(f.id)
  INTO
    v_finals
  FROM
    opened
    JOIN oban_workflow_finals f ON f.group_key = opened.group_key;

  IF v_finals IS NULL THEN
    RETURN;
  END IF;

  v_lost := ARRAY(SELECT oban_workflow_lost_finals(v_finals));

  UPDATE oban_workflow_members SET pending = pending + 1 WHERE id = ANY(v_finals);

  WITH before AS (
    SELECT
      id,
      CASE WHEN state = 'completed' AND meta ? 'skipped' AND attempt = 0 THEN 'skipped' ELSE state::text END AS state,
      attempted_at,
      attempted_by[2] AS producer
    FROM
      oban_jobs
    WHERE
      id = ANY(v_finals)
      AND id <> ALL(p_handled || v_lost)
      AND (state <> 'suspended') IS TRUE
    ORDER BY
      id
    FOR NO KEY UPDATE
  ),
  armed AS (
    UPDATE
      oban_jobs j
    SET
      state = 'suspended',
      max_attempts = GREATEST(j.max_attempts, j.attempt + 1),
      scheduled_at = timezone('UTC', now()),
      completed_at = NULL,
      cancelled_at = NULL,
      discarded_at = NULL,
      meta = j.meta - ARRAY['recorded', 'return', 'skipped']
    FROM
      before b
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[b.id])
    RETURNING
      b.*
  )
  SELECT
    COALESCE(array_agg(id), '{}'),
    COALESCE(array_agg(id) FILTER (WHERE state IN ('completed', 'skipped', 'cancelled', 'discarded')), '{}'),
    COALESCE(array_agg(state) FILTER (WHERE state IN ('completed', 'skipped', 'cancelled', 'discarded')), '{}'),
    array_agg(id) FILTER (WHERE state = 'executing'),
    array_agg(attempted_at) FILTER (WHERE state = 'executing'),
    array_agg(producer) FILTER (WHERE state = 'executing')
  INTO
    v_armed, ids, old, v_stopped, v_stamps, v_producers
  FROM
    armed;

  PERFORM oban_workflow_update_counters(
    v_armed,
    array_fill('executing'::text, ARRAY[cardinality(v_armed)]),
    array_fill('suspended'::text, ARRAY[cardinality(v_armed)]),
    '{}',
    p_rules
  );

  IF v_stopped IS NOT NULL THEN
    PERFORM oban_workflow_note_unended(v_stopped, v_stamps, v_producers);
    PERFORM oban_workflow_signal_stop(v_stopped);
  END IF;
END;
$$;
