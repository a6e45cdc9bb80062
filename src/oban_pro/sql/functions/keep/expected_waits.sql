-- Whether each wait that is open, or whose clock runs, should be: it is suspended, and nothing is pending for it. Of one
-- root, or of all. Waits that should be open and are not are stuck jobs.
--
-- Called by: oban_workflow_audit_v1, oban_workflow_repair_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_expected_waits(p_root bigint)
RETURNS TABLE (id bigint, is_open boolean, is_running boolean, expected boolean)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT
    w.id,
    w.is_open,
    CASE WHEN t.target IS NULL THEN w.is_open ELSE t.due IS NOT NULL END,
    COALESCE(j.state = 'suspended', false) AND m.pending <= 0 AND (NOT m.gated OR gate.pending <= 0)
  FROM
    oban_workflow_waits w
    JOIN oban_workflow_members m ON m.id = w.id
    LEFT JOIN oban_workflow_members gate ON gate.id = m.group_key
    LEFT JOIN oban_workflow_timers t ON t.target = w.id AND t.kind = 'wait'
    LEFT JOIN oban_jobs j ON j.id = w.id
  WHERE
    (p_root IS NULL OR w.root = p_root)
    AND (w.is_open OR t.due IS NOT NULL);
END;
$$;
