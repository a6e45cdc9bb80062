-- What a status says of the workflows of a root beside its counters: when one that had settled was retried last, and how
-- many of its waits for signals are open. Nothing for those that were never retried and have no open wait.
--
-- Called by: status() of nodes with an older release. Locks nothing. It is asked often, so its plan is kept: all are
-- lookups. A workflow without waits pays nothing for them, as its rules say so.
CREATE OR REPLACE FUNCTION oban_workflow_status_marks_v1(p_id text)
RETURNS TABLE (
  key bigint,
  retried_at timestamp,
  waits integer
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

  IF v_rules & 1 > 0 THEN
    RETURN QUERY
    SELECT
      m.key, max(m.retried_at), sum(m.waits)::int
    FROM (
      SELECT key, retried_at, 0 AS waits FROM oban_workflow_groups WHERE root = v_root AND retried_at IS NOT NULL
      UNION ALL
      SELECT group_key, NULL, 1 FROM oban_workflow_waits WHERE is_open AND kind = 'signal' AND root = v_root
    ) m
    GROUP BY
      m.key;
  ELSE
    RETURN QUERY
    SELECT g.key, g.retried_at, 0 FROM oban_workflow_groups g WHERE g.root = v_root AND g.retried_at IS NOT NULL;
  END IF;
END;
$$;
