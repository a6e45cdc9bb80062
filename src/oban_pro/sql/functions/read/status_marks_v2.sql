-- What a status says of the workflows of a root beside its counters: when one that had settled was retried last, how many
-- of its waits for signals are open, since when and by whom it is paused, the limit of a fan-out, and how many jobs
-- were skipped. Nothing for workflows that have none of it.
--
-- Called by: status(). Locks nothing. It is asked often, so its plan is kept: all are lookups. A workflow without waits,
-- pauses, limits and conditions pays nothing for them, as its rules say so.
CREATE OR REPLACE FUNCTION oban_workflow_status_marks_v2(p_id text)
RETURNS TABLE (
  key bigint,
  retried_at timestamp,
  waits integer,
  paused_at timestamp,
  paused_by text,
  max_open integer,
  skipped integer
)
LANGUAGE plpgsql
STABLE
ROWS 1
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_root bigint;
  v_rules smallint;
BEGIN
  SELECT
    g.root,
    CASE
      WHEN g.parent IS NULL THEN g.rules
      ELSE (SELECT r.rules FROM oban_workflow_groups r WHERE r.key = g.root)
    END
  FROM
    oban_workflow_groups g
  WHERE
    g.id = p_id
  INTO
    v_root, v_rules;

  IF v_rules & 101 > 0 THEN
    RETURN QUERY
    SELECT
      m.key, max(m.retried_at), sum(m.waits)::int, max(m.paused_at), max(m.paused_by), max(m.max_open),
      max(m.skipped)
    FROM (
      SELECT
        key, retried_at, 0 AS waits, NULL::timestamp AS paused_at, NULL::text AS paused_by, max_open, skipped
      FROM
        oban_workflow_groups
      WHERE
        root = v_root
        AND (retried_at IS NOT NULL OR max_open IS NOT NULL OR skipped IS NOT NULL)
      UNION ALL
      SELECT
        group_key, NULL, 1, NULL, NULL, NULL, NULL
      FROM
        oban_workflow_waits
      WHERE
        v_rules & 1 > 0
        AND is_open
        AND kind = 'signal'
        AND root = v_root
      UNION ALL
      SELECT
        target, NULL, 0, paused_at, paused_by, NULL, NULL
      FROM
        oban_workflow_pauses
      WHERE
        v_rules & 64 > 0
        AND root = v_root
        AND target < 0
    ) m
    GROUP BY
      m.key;
  ELSE
    RETURN QUERY
    SELECT
      g.key, g.retried_at, 0, NULL::timestamp, NULL::text, NULL::integer, NULL::integer
    FROM
      oban_workflow_groups g
    WHERE
      g.root = v_root
      AND g.retried_at IS NOT NULL;
  END IF;
END;
$$;
