-- What the counters of each join should be, by the states of what it depends on as they are stored. Of one root, or of all.
--
-- If rows of jobs vanished without a trigger seeing it, nobody knows how these jobs ended. Counts of broken
-- dependencies that such jobs can account for are left as they are.
--
-- Called by: oban_workflow_audit_v1, oban_workflow_repair_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_expected_joins(p_root bigint)
RETURNS TABLE (id bigint, deps integer, expected_deps integer, broken integer, expected_broken integer, skipped integer, expected_skipped integer)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT
    jn.id, jn.deps, up.deps, jn.broken, GREATEST(up.broken, LEAST(jn.broken, up.broken + up.unknown)),
    jn.skipped, up.skipped
  FROM
    oban_workflow_groups g
    JOIN oban_workflow_members m ON m.group_key = g.key
    JOIN oban_workflow_joins jn ON jn.id = m.id
    CROSS JOIN LATERAL (
      SELECT
        count(*)::int AS deps,
        (count(*) FILTER (WHERE oban_workflow_breaks_v1(u.state, m.ignore_cancelled, m.ignore_discarded)))::int AS broken,
        (count(*) FILTER (WHERE u.skipped))::int AS skipped,
        (count(*) FILTER (WHERE u.state IS NULL))::int AS unknown
      FROM
        (
          SELECT
            COALESCE(j.state::text, nested.state, d.gone) AS state,
            oban_workflow_was_skipped_v1(j.state::text, j.attempt, j.meta)
              OR d.gone = 'skipped'
              OR oban_workflow_group_was_skipped_v2(
                nested.key, nested.state, nested.total, nested.subs, nested.skipped, nested.subs_skipped, nested.skips,
                nested.judged
              ) AS skipped
          FROM
            oban_workflow_edges e
            JOIN oban_workflow_members d ON d.id = e.upstream
            LEFT JOIN oban_workflow_groups nested ON nested.key = d.id
            LEFT JOIN oban_jobs j ON j.id = d.id
          WHERE
            e.downstream = m.id
        ) u
    ) up
  WHERE
    p_root IS NULL
    OR g.root = p_root;
END;
$$;
