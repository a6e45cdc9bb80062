-- Give slots to jobs that are ready to be released. Jobs of fan-outs with a limit line up in the order of their ids,
-- and as many of each line are returned as there are free slots. Other jobs are returned as they are.
--
-- p_ids are jobs, p_lines groups whose lines may move up, p_rules the rare rules of the roots.
--
-- Called by: oban_workflow_hold_back.
-- Locks: rows of groups; the caller holds the root.
-- Called twice: see oban_workflow_serve_line.
CREATE OR REPLACE FUNCTION oban_workflow_take_slots(p_ids bigint[], p_lines bigint[], p_now timestamp, p_rules smallint)
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
-- what is in arrays is joined by hash
SET enable_nestloop = off
SET jit = off
AS $$
DECLARE
  v_taken bigint[];
  v_lines bigint[];
  v_line bigint;
  v_first bigint[] := '{}';
BEGIN
  IF p_ids = '{}' THEN
    v_taken := '{}';
    v_lines := p_lines;
  ELSE
    WITH ready AS MATERIALIZED (
      SELECT
        m.id, m.group_key
      FROM
        unnest(p_ids) AS i(id)
        CROSS JOIN LATERAL (SELECT id, group_key FROM oban_workflow_members WHERE id = i.id OFFSET 0) m
    ),
    limited AS MATERIALIZED (
      SELECT
        r.id, l.limiter
      FROM
        oban_workflow_limiters(ARRAY(SELECT DISTINCT r.group_key FROM ready r)) l
        JOIN ready r ON r.group_key = l.key
      WHERE
        r.id IS DISTINCT FROM l.judge
    ),
    lines AS (
      SELECT
        l.limiter, min(l.id) AS first, max(l.id) AS last
      FROM
        limited l
      GROUP BY
        l.limiter
    ),
    lined_up AS (
      UPDATE
        oban_workflow_groups g
      SET
        next_waiting = LEAST(g.next_waiting, l.first),
        last_waiting = GREATEST(g.last_waiting, l.last)
      FROM
        lines l
      WHERE
        -- ANY: see PLANS.md
        g.key = ANY(ARRAY[l.limiter])
      RETURNING
        g.key
    )
    SELECT
      ARRAY(SELECT r.id FROM ready r EXCEPT SELECT l.id FROM limited l),
      ARRAY(SELECT l.key FROM lined_up l UNION SELECT u.key FROM unnest(p_lines) AS u(key))
    INTO
      v_taken, v_lines;
  END IF;

  IF p_rules & 64 > 0 THEN
    v_first := ARRAY(SELECT j.id FROM oban_jobs j WHERE j.id = ANY(p_ids) AND j.meta ? 'paused_from');
  END IF;

  FOREACH v_line IN ARRAY v_lines LOOP
    v_taken := v_taken || oban_workflow_serve_line(
      v_line,
      CASE
        WHEN v_first = '{}' THEN v_first
        ELSE ARRAY(
          SELECT
            f.id
          FROM
            unnest(v_first) AS f(id)
            CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = f.id OFFSET 0) m
          WHERE
            v_line = (SELECT l.limiter FROM oban_workflow_limiters(ARRAY[m.group_key]) l)
        )
      END,
      p_now,
      p_rules
    );
  END LOOP;

  RETURN v_taken;
END;
$$;
