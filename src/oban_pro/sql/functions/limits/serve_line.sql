-- Give free slots to the jobs that wait in a line, in the order of their ids; returns these jobs. Jobs that wait for
-- something else as well are skipped, and line up again when that has ended.
--
-- p_first are jobs that held a slot before they were paused: they come first. p_now is the moment of the release, p_rules
-- are the rare rules of the root.
--
-- Called by: oban_workflow_take_slots.
-- Locks: the row of the group; the caller holds the root.
-- Called twice: a job that is not released by the caller is not in the line any more.
CREATE OR REPLACE FUNCTION oban_workflow_serve_line(p_limiter bigint, p_first bigint[], p_now timestamp, p_rules smallint)
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_free integer;
  v_has_rate boolean;
  v_taken bigint[] := '{}';
  v_last bigint := 0;
  v_some bigint[];
BEGIN
  SELECT free, has_rate FROM oban_workflow_count_free_slots(p_limiter, p_now) INTO v_free, v_has_rate;

  IF p_first <> '{}' THEN
    v_taken := ARRAY(SELECT f.id FROM unnest(p_first) AS f(id) ORDER BY f.id LIMIT GREATEST(v_free, 0));
    v_free := v_free - cardinality(v_taken);
  END IF;

  WHILE v_free > 0 OR v_free IS NULL LOOP
    v_some := ARRAY(SELECT oban_workflow_waiting_in_line(p_limiter, v_last, v_free));
    v_last := CASE WHEN cardinality(v_some) = v_free THEN v_some[v_free] END;

    IF p_rules & 128 > 0 THEN
      v_some := ARRAY(SELECT s.id FROM unnest(v_some) AS s(id) EXCEPT SELECT oban_workflow_unready(v_some));
    END IF;

    IF p_rules & 64 > 0 THEN
      v_some := ARRAY(SELECT s.id FROM unnest(v_some) AS s(id) EXCEPT SELECT oban_workflow_paused(v_some));
    END IF;

    IF p_first <> '{}' THEN
      v_some := ARRAY(SELECT s.id FROM unnest(v_some) AS s(id) EXCEPT SELECT t.id FROM unnest(v_taken) AS t(id));
    END IF;

    v_taken := v_taken || v_some;
    v_free := v_free - cardinality(v_some);

    -- that was the end of the line
    EXIT WHEN v_last IS NULL;
  END LOOP;

  UPDATE
    oban_workflow_groups
  SET
    next_waiting = v_last + 1,
    last_waiting = CASE WHEN v_last IS NOT NULL THEN last_waiting END
  WHERE
    key = p_limiter
    AND next_waiting IS NOT NULL
    AND v_last IS DISTINCT FROM 0;

  IF v_has_rate THEN
    PERFORM oban_workflow_note_released(p_limiter, cardinality(v_taken), p_now);
  END IF;

  RETURN v_taken;
END;
$$;
