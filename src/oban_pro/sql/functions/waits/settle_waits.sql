-- Settle open waits that have all signals they need, and those whose time is up. Returns them, and how they settled. A
-- signal that came in time wins.
--
-- p_ids are waits, p_now is the moment that clocks are compared with.
--
-- Called by: oban_workflow_open_waits; oban_workflow_take_signal and oban_workflow_tick_v1, which leave it to the trigger
-- to carry the change on.
-- Locks: rows of waits, signals and timers, and the jobs; the caller holds the root.
-- Called twice: a settled wait is not open any more.
CREATE OR REPLACE FUNCTION oban_workflow_settle_waits(p_ids bigint[], p_now timestamp, OUT ids bigint[], OUT new text[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_answered bigint[];
BEGIN
  WITH waits AS MATERIALIZED (
    SELECT
      w.id, w.wanted, w.on_timeout, w.fallback, s.came, s.payloads, t.due <= p_now AS is_late, t.error
    FROM
      oban_workflow_waits w
      CROSS JOIN LATERAL (
        SELECT
          count(*) AS came, array_agg(payload ORDER BY id) AS payloads
        FROM
          oban_workflow_signals
        WHERE
          job = w.id
          AND id > w.forgotten
      ) s
      LEFT JOIN LATERAL (
        SELECT due, error FROM oban_workflow_timers WHERE target = w.id AND kind = 'wait' OFFSET 0
      ) t ON true
    WHERE
      w.id = ANY(p_ids)
      AND w.is_open
  ),
  settled AS (
    SELECT
      w.id,
      w.came >= w.wanted AS is_answered,
      CASE WHEN w.came >= w.wanted THEN 'completed' ELSE w.on_timeout END AS new,
      CASE
        WHEN w.came < w.wanted THEN w.fallback
        WHEN w.wanted = 1 THEN w.payloads[1]
        -- a list: its length, its items, an empty tail
        ELSE '\x6c'::bytea || int4send(w.wanted) || (
          SELECT string_agg(p.term, '' ORDER BY p.n) FROM unnest(w.payloads) WITH ORDINALITY AS p(term, n)
        ) || '\x6a'::bytea
      END AS term,
      w.error
    FROM
      waits w
    WHERE
      w.came >= w.wanted
      OR w.is_late
  ),
  changed AS (
    UPDATE
      oban_jobs j
    SET
      state = s.new::oban_job_state,
      completed_at = CASE WHEN s.new = 'completed' THEN p_now END,
      cancelled_at = CASE WHEN s.new = 'cancelled' THEN p_now END,
      discarded_at = CASE WHEN s.new = 'discarded' THEN p_now END,
      meta = CASE
        WHEN s.new = 'completed' AND s.term IS NOT NULL THEN j.meta || jsonb_build_object(
          'recorded', true, 'return', oban_workflow_recorded_v1(s.term)
        )
        ELSE j.meta
      END,
      errors = CASE
        WHEN s.new = 'completed' THEN j.errors
        ELSE j.errors || oban_workflow_job_error(j.attempt, s.error, timezone('UTC', now()))
      END
    FROM
      settled s
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[s.id])
      AND (j.state = 'suspended') IS TRUE
    RETURNING
      j.id, j.state::text, s.is_answered
  )
  SELECT
    array_agg(c.id), array_agg(c.state), array_agg(c.id) FILTER (WHERE c.is_answered)
  INTO
    ids, new, v_answered
  FROM
    changed c;

  IF ids IS NOT NULL THEN
    UPDATE oban_workflow_signals SET taken_at = p_now WHERE job = ANY(v_answered) AND taken_at IS NULL;
    PERFORM oban_workflow_close_waits(ids, false);
  END IF;
END;
$$;
