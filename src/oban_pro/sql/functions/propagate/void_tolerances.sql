-- Void the tolerance of groups that never opened, because their gates broke before the given jobs could start.
--
-- p_ids are jobs that were cancelled because something that they waited for broke, and groups whose judges failed.
--
-- Called by: oban_workflow_break_members and oban_workflow_repair_v1, in workflows with tolerances, before these jobs are
-- counted.
-- Locks: rows of groups; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_void_tolerances(p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH RECURSIVE gates AS (
    SELECT
      CASE WHEN m.id < 0 THEN m.id ELSE m.group_key END AS key
    FROM
      oban_workflow_members m
    WHERE
      m.id = ANY(p_ids)
      AND (m.id < 0 OR m.gated)
    UNION
    SELECT
      m.group_key
    FROM
      gates
      CROSS JOIN LATERAL (SELECT group_key, gated FROM oban_workflow_members WHERE id = gates.key OFFSET 0) m
    WHERE
      m.gated
  )
  UPDATE
    oban_workflow_groups g
  SET
    voided = true
  WHERE
    g.key = ANY(ARRAY(SELECT key FROM gates))
    AND g.tolerates IS NOT NULL
    AND g.voided IS NULL;
END;
$$;
