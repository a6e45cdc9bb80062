-- Correct the bookkeeping of a root by the states of its jobs, release jobs that wait for nothing, and cancel jobs
-- whose dependency broke unnoticed. Returns how many rows it corrected. If the row of a job vanished, so that nobody
-- knows how it ended, its dependents stay as they are. A root without any job left is removed.
--
-- Called by: the doctor, when something switched the triggers off, or wrote to these tables.
-- Locks: the root first, then as oban_workflow_apply_changes does.
-- Called twice: a second call mends nothing.
CREATE OR REPLACE FUNCTION oban_workflow_repair_v1(p_root bigint)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
-- fail rather than take for gone what is hidden
SET row_security = off
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_mended integer := 0;
  v_groups bigint[];
  v_rows integer;
  v_members integer;
  v_joins integer;
  v_waits bigint[];
BEGIN
  PERFORM FROM oban_workflow_groups WHERE key = p_root FOR NO KEY UPDATE;
  PERFORM set_config('lock_timeout', '25ms', true);

  IF oban_workflow_is_free_v1(p_root) THEN
    v_groups := ARRAY(SELECT key FROM oban_workflow_groups WHERE root = p_root);

    PERFORM oban_workflow_remove_groups(v_groups, (SELECT rules FROM oban_workflow_groups WHERE key = p_root));

    RETURN cardinality(v_groups);
  END IF;

  -- One row mended may show the next: as often as the graph is deep.
  LOOP
    v_joins := oban_workflow_repair_joins(p_root);

    UPDATE
      oban_workflow_members m
    SET
      pending = e.expected,
      gone = NULLIF(e.expected_gone, 'unknown')
    FROM
      oban_workflow_expected_members(p_root) e
    WHERE
      -- ANY: see PLANS.md
      m.id = ANY(ARRAY[e.id])
      AND (e.pending <> e.expected OR e.gone IS DISTINCT FROM NULLIF(e.expected_gone, 'unknown'));

    GET DIAGNOSTICS v_members = ROW_COUNT;

    v_rows := oban_workflow_repair_groups(p_root) + oban_workflow_repair_ends(p_root);

    IF v_joins + v_members + v_rows = 0 THEN
      v_rows := oban_workflow_repair_undos(p_root);
    END IF;

    v_mended := v_mended + v_joins + v_members + v_rows;

    EXIT WHEN v_joins + v_members + v_rows = 0;
  END LOOP;

  SELECT
    array_agg(w.id)
  INTO
    v_waits
  FROM
    oban_workflow_expected_waits(p_root) w
  WHERE
    w.is_open AND NOT w.expected
    OR w.is_running <> w.is_open;

  IF v_waits IS NOT NULL THEN
    v_mended := v_mended + cardinality(v_waits);

    -- those that should be open are opened again below, with a whole new clock
    UPDATE oban_workflow_timers SET due = NULL WHERE target = ANY(v_waits) AND kind = 'wait';
    UPDATE oban_workflow_waits SET is_open = false WHERE id = ANY(v_waits);
  END IF;

  PERFORM oban_workflow_void_tolerances(
    ARRAY(SELECT s.id FROM oban_workflow_stuck_jobs(p_root) s WHERE s.cause IS NOT NULL)
  );
  PERFORM oban_workflow_start_group_clocks(p_root)
  WHERE NOT EXISTS (SELECT FROM oban_workflow_groups WHERE key = p_root AND queued_at IS NOT NULL);

  -- From here on the books are right, so the triggers carry these changes on by themselves: a job that is
  -- made to wait with nothing pending is released.
  UPDATE
    oban_jobs j
  SET
    state = 'cancelled',
    cancelled_at = timezone('UTC', now()),
    errors = j.errors || oban_workflow_job_error(j.attempt, s.cause, timezone('UTC', now()), s.upstream)
  FROM
    oban_workflow_stuck_jobs(p_root) s
  WHERE
    j.id = ANY(ARRAY[s.id])
    AND s.cause IS NOT NULL;

  GET DIAGNOSTICS v_rows = ROW_COUNT;
  v_mended := v_mended + v_rows;

  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  SELECT
    v_mended + count(*)
  INTO
    v_mended
  FROM
    oban_workflow_stuck_jobs(p_root);

  PERFORM oban_workflow_notify_queues_v1(
    oban_workflow_propagate(
      '{}',
      '{}',
      '{}',
      '{}',
      ARRAY(
        SELECT s.id FROM oban_workflow_stuck_jobs(p_root) s
        UNION ALL
        -- what is paused may be skipped all the same
        SELECT p.id FROM oban_workflow_jobs_in(ARRAY(SELECT target FROM oban_workflow_pauses WHERE root = p_root)) p
      ),
      (SELECT rules FROM oban_workflow_groups WHERE key = p_root)
    )
  );

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

  RETURN v_mended + oban_workflow_repair_key(p_root);
END;
$$;
