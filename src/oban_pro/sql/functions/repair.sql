-- Mend the bookkeeping of a root by what the states say, release jobs that wait for nothing, and cancel those
-- whose dependency broke unnoticed. Returns how many rows it mended.
--
-- Called by: the doctor, when something switched the triggers off, or wrote to these tables.
-- Locks: the root first, then as oban_workflow_settle does.
-- Twice: a second call mends nothing.
CREATE OR REPLACE FUNCTION oban_workflow_repair(p_root bigint)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_mended integer := 0;
  v_rows integer;
  v_members integer;
BEGIN
  PERFORM FROM oban_workflow_groups WHERE key = p_root FOR NO KEY UPDATE;
  PERFORM set_config('lock_timeout', '25ms', true);

  -- One row mended may show the next: as often as the graph is deep.
  LOOP
    UPDATE
      oban_workflow_members m
    SET
      pending = e.expected,
      gone = e.expected_gone
    FROM
      oban_workflow_expected_members(p_root) e
    WHERE
      m.id = e.id
      AND (e.pending <> e.expected OR e.gone IS DISTINCT FROM e.expected_gone);

    GET DIAGNOSTICS v_members = ROW_COUNT;

    UPDATE
      oban_workflow_groups g
    SET
      empty_state = e.empty_state,
      total = e.total,
      suspended = e.suspended,
      completed = e.completed,
      cancelled = e.cancelled,
      discarded = e.discarded,
      subs = e.subs,
      subs_completed = e.subs_completed,
      subs_cancelled = e.subs_cancelled,
      subs_discarded = e.subs_discarded,
      stopped_at = COALESCE(g.stopped_at, timezone('UTC', now()))
    FROM
      oban_workflow_expected_groups(p_root) e
    WHERE
      g.key = e.key
      AND (
        g.empty_state, g.total, g.suspended, g.completed, g.cancelled, g.discarded,
        g.subs, g.subs_completed, g.subs_cancelled, g.subs_discarded
      ) IS DISTINCT FROM (
        e.empty_state, e.total, e.suspended, e.completed, e.cancelled, e.discarded,
        e.subs, e.subs_completed, e.subs_cancelled, e.subs_discarded
      );

    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_mended := v_mended + v_members + v_rows;

    EXIT WHEN v_members + v_rows = 0;
  END LOOP;

  -- From here on the books are right, so the triggers carry these changes on by themselves: a job that is
  -- made to wait with nothing pending is released.
  UPDATE
    oban_jobs j
  SET
    state = 'cancelled',
    cancelled_at = timezone('UTC', now()),
    errors = j.errors || jsonb_build_object(
      'attempt', j.attempt,
      'at', to_char(timezone('UTC', now()), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
      'error', 'cancelled because upstream ' || s.cause
    )
  FROM
    oban_workflow_stuck(p_root) s
  WHERE
    j.id = s.id
    AND s.cause IS NOT NULL;

  GET DIAGNOSTICS v_rows = ROW_COUNT;
  v_mended := v_mended + v_rows;

  PERFORM set_config('oban_workflows.engine', 'on', true);

  SELECT
    v_mended + count(*)
  INTO
    v_mended
  FROM
    oban_workflow_stuck(p_root);

  PERFORM oban_workflow_wake(
    oban_workflow_carry('{}', '{}', '{}', '{}', ARRAY(SELECT s.id FROM oban_workflow_stuck(p_root) s))
  );

  PERFORM set_config('oban_workflows.engine', 'off', true);

  RETURN v_mended;
END;
$$;
