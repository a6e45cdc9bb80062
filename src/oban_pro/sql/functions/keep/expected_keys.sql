-- Roots that run without holding their key, that wait in line although there is nobody to wait behind, and that hold a key
-- without need. Of one root, or of all.
--
-- Called by: oban_workflow_audit_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_expected_keys(p_root bigint)
RETURNS TABLE (key bigint, field text, stored text, actual text)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT
    r.key,
    CASE WHEN r.state = 'executing' AND r.queued_at IS NOT NULL THEN 'queued_at' ELSE 'unique_key' END,
    CASE
      WHEN r.state <> 'executing' THEN r.id
      WHEN r.queued_at IS NOT NULL THEN 'in line'
      ELSE holder.id
    END,
    CASE WHEN r.state = 'executing' AND r.queued_at IS NULL THEN r.id END
  FROM
    oban_workflow_groups r
    LEFT JOIN oban_workflow_keys k ON k.key = r.unique_key
    LEFT JOIN oban_workflow_groups holder ON holder.key = k.holder
  WHERE
    r.unique_key IS NOT NULL
    AND (p_root IS NULL OR r.key = p_root)
    AND CASE
      WHEN r.state = 'executing' AND r.queued_at IS NULL
        THEN r.key NOT IN (COALESCE(k.holder, 0), COALESCE(k.former, 0))
      WHEN r.state = 'executing' AND k.holder = r.key THEN k.former IS NULL
      WHEN r.state = 'executing' THEN holder.state IS DISTINCT FROM 'executing'
        AND NOT EXISTS (SELECT FROM oban_workflow_unended u WHERE u.root = k.holder)
        AND NOT EXISTS (SELECT FROM oban_workflow_timers t WHERE t.target = k.holder AND t.kind = 'hand_over')
      ELSE k.holder = r.key
        AND k.held_until IS NULL
        AND NOT EXISTS (SELECT FROM oban_workflow_unended u WHERE u.root = r.key)
        AND NOT EXISTS (SELECT FROM oban_workflow_timers t WHERE t.target = r.key AND t.kind = 'hand_over')
    END;
END;
$$;
