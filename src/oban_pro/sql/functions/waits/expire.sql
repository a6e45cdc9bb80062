-- End everything in one root whose time is up; returns the waits for signals that timed out.
--
-- Jobs that a deadline cancels say so in their errors. A deadline works once: it is gone for jobs that are retried
-- later. Pauses and periods of rates end as well. A key is handed over if that had to be put off.
--
-- Called by: oban_workflow_tick_v1. The trigger carries the changes on.
-- Locks: rows of timers and waits, then the jobs; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_expire(p_root bigint, p_now timestamp)
RETURNS SETOF bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_waits bigint[];
  v_settled bigint[];
  v_targets bigint[];
  v_errors text[];
  v_executing bigint[];
  -- they run nevertheless
  v_finals bigint[];
BEGIN
  v_waits := ARRAY(SELECT target FROM oban_workflow_timers WHERE root = p_root AND kind = 'wait' AND due <= p_now);

  IF v_waits <> '{}' THEN
    SELECT s.ids FROM oban_workflow_settle_waits(v_waits, p_now) s INTO v_settled;

    RETURN QUERY SELECT w.id FROM oban_workflow_waits w WHERE w.id = ANY(v_settled) AND w.kind = 'signal';

    -- what is left of them has settled by something else
    PERFORM oban_workflow_close_waits(v_waits, false);
  END IF;

  PERFORM oban_workflow_resume_members(
    p_root, ARRAY(SELECT target FROM oban_workflow_timers WHERE root = p_root AND kind = 'pause' AND due <= p_now)
  );

  PERFORM oban_workflow_end_windows(p_root, p_now);

  IF EXISTS (SELECT FROM oban_workflow_timers WHERE target = p_root AND kind = 'hand_over' AND due <= p_now) THEN
    DELETE FROM oban_workflow_timers WHERE target = p_root AND kind = 'hand_over';
    PERFORM oban_workflow_notify_queues_v1(oban_workflow_hand_over(p_root, true));
  END IF;

  WITH due AS (
    DELETE FROM oban_workflow_timers WHERE root = p_root AND kind IN ('deadline', 'inner') AND due <= p_now
    RETURNING target, error, due
  )
  SELECT array_agg(target ORDER BY due, target), array_agg(error ORDER BY due, target) INTO v_targets, v_errors FROM due;

  IF v_targets IS NULL THEN
    RETURN;
  END IF;

  IF (SELECT rules & 256 > 0 FROM oban_workflow_groups WHERE key = p_root) THEN
    PERFORM oban_workflow_void_whole(ARRAY(SELECT t.target FROM unnest(v_targets) AS t(target) WHERE t.target < 0));
  END IF;

  v_finals := ARRAY(SELECT oban_workflow_finals_of(p_root));

  WITH late AS (
    -- the first deadline counts
    SELECT DISTINCT ON (j.id)
      j.id, t.error
    FROM
      oban_workflow_jobs_in(v_targets) j
      JOIN unnest(v_targets, v_errors) WITH ORDINALITY AS t(target, error, n) ON t.target = j.member
    WHERE
      j.id <> ALL(v_finals)
    ORDER BY
      j.id, t.n
  ),
  open AS MATERIALIZED (
    SELECT
      late.id, late.error, j.state
    FROM
      late
      CROSS JOIN LATERAL (
        SELECT
          state
        FROM
          oban_jobs
        WHERE
          id = late.id
          AND oban_workflow_is_settled_v1(state::text) IS FALSE
        OFFSET
          0
        FOR NO KEY UPDATE
      ) j
  ),
  cancelled AS (
    UPDATE
      oban_jobs j
    SET
      state = 'cancelled',
      cancelled_at = p_now,
      meta = j.meta - 'paused_from' || jsonb_build_object('cancel_attempted_at', p_now),
      errors = j.errors || oban_workflow_job_error(j.attempt, o.error, p_now)
    FROM
      open o
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[o.id])
  )
  SELECT array_agg(id) FILTER (WHERE state = 'executing') INTO v_executing FROM open;

  PERFORM oban_workflow_signal_stop(v_executing);
END;
$$;
