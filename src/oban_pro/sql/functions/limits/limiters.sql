-- For each given group, the group whose limit its jobs are under: for jobs of a fan-out the fan-out itself, for the
-- grafter of an item the fan-out around it, for jobs of a mapped fan-out its graft. Groups without a limit are left
-- out. Also returns the judge of the limiting group, which is in it but under no limit.
--
-- Called by: oban_workflow_lines_of, oban_workflow_take_slots, oban_workflow_suspend_again and oban_workflow_stuck_jobs.
-- Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_limiters(p_keys bigint[])
RETURNS TABLE (key bigint, limiter bigint, judge bigint)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT
    k.key, l.key, CASE WHEN l.judged IS NOT NULL THEN oban_workflow_judge_of(l.key) END
  FROM
    (SELECT DISTINCT u.key FROM unnest(p_keys) AS u(key)) k
    CROSS JOIN LATERAL (SELECT kind, parent FROM oban_workflow_groups WHERE key = k.key OFFSET 0) g
    CROSS JOIN LATERAL (
      SELECT
        key, judged
      FROM
        oban_workflow_groups
      WHERE
        key = CASE WHEN g.kind = 'fan_out' THEN k.key ELSE g.parent END
        AND (g.kind, kind) IN (('fan_out', 'fan_out'), ('graft', 'fan_out'), ('sub', 'graft'))
        AND (max_open IS NOT NULL OR rate_allowed IS NOT NULL)
      OFFSET
        0
    ) l;
END;
$$;
