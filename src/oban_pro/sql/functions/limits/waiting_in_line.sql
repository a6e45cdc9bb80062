-- Jobs that wait for a slot, in the order of their ids: they are suspended, and nothing is pending for them. At most
-- p_count of them, NULL for all, with ids after p_after. Waits and the judge take no slots, so they are left out.
--
-- Jobs that were inserted together have neighbouring ids, so the range of ids is read. If the ids are far apart, the
-- members of the fan-out are read instead.
--
-- Called by: oban_workflow_serve_line, oban_workflow_slot_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_waiting_in_line(p_limiter bigint, p_after bigint, p_count integer)
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_line oban_workflow_groups;
  v_first bigint;
  v_kind text;
  v_judge bigint;
  v_is_near boolean;
BEGIN
  SELECT * FROM oban_workflow_groups WHERE key = p_limiter INTO v_line;

  IF v_line.next_waiting IS NULL THEN
    RETURN;
  END IF;

  IF v_line.judged IS NOT NULL THEN
    v_judge := oban_workflow_judge_of(p_limiter);
  END IF;

  v_first := GREATEST(v_line.next_waiting, p_after + 1);
  v_kind := CASE v_line.kind WHEN 'fan_out' THEN 'graft' ELSE 'sub' END;
  v_is_near := v_line.kind = 'graft' OR v_line.last_waiting - v_first < 1000 + 10 * (v_line.total + v_line.subs);

  IF v_is_near THEN
    RETURN QUERY
    SELECT
      m.id
    FROM
      (
        SELECT
          id, group_key, gated, pending
        FROM
          oban_workflow_members
        WHERE
          id BETWEEN v_first AND v_line.last_waiting
        ORDER BY
          id
        OFFSET
          0
      ) m
      CROSS JOIN LATERAL (
        SELECT
        FROM
          oban_workflow_groups
        WHERE
          key = m.group_key
          AND (key = p_limiter AND kind = 'fan_out' OR parent = p_limiter AND kind = v_kind)
        OFFSET
          0
      ) g
      CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = m.id OFFSET 0) j
    WHERE
      m.pending <= 0
      AND m.id IS DISTINCT FROM v_judge
      AND j.state = 'suspended'
      AND (NOT m.gated OR (SELECT pending <= 0 FROM oban_workflow_members WHERE id = m.group_key))
      AND NOT EXISTS (SELECT FROM oban_workflow_waits w WHERE w.id = m.id OFFSET 0)
    ORDER BY
      m.id
    LIMIT
      p_count;
  ELSE
    RETURN QUERY
    SELECT
      m.id
    FROM
      (
        SELECT p_limiter AS key
        UNION ALL
        SELECT key FROM oban_workflow_groups WHERE parent = p_limiter
      ) l
      CROSS JOIN LATERAL (
        SELECT id, group_key, gated, pending FROM oban_workflow_members WHERE group_key = l.key OFFSET 0
      ) m
      CROSS JOIN LATERAL (
        SELECT
        FROM
          oban_workflow_groups
        WHERE
          key = m.group_key
          AND (key = p_limiter AND kind = 'fan_out' OR parent = p_limiter AND kind = v_kind)
        OFFSET
          0
      ) g
      CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = m.id OFFSET 0) j
    WHERE
      m.id BETWEEN v_first AND v_line.last_waiting
      AND m.pending <= 0
      AND m.id IS DISTINCT FROM v_judge
      AND j.state = 'suspended'
      AND (NOT m.gated OR (SELECT pending <= 0 FROM oban_workflow_members WHERE id = m.group_key))
      AND NOT EXISTS (SELECT FROM oban_workflow_waits w WHERE w.id = m.id OFFSET 0)
    ORDER BY
      m.id
    LIMIT
      p_count;
  END IF;
END;
$$;
