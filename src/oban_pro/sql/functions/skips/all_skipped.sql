-- The members whose dependencies were all skipped, each with one of these. A judge that said no counts as a skipped
-- dependency of the group that it judges.
--
-- p_ids are jobs and groups. Dependencies that they have through a gate are not considered.
--
-- Called by: oban_workflow_skip_ready, oban_workflow_note_skips, oban_workflow_expected_skips. Locks nothing. It stops at the
-- first dependency that was not skipped.
CREATE OR REPLACE FUNCTION oban_workflow_all_skipped(p_ids bigint[])
RETURNS TABLE (id bigint, cause bigint)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT
    r.id, first.upstream
  FROM
    unnest(p_ids) AS r(id)
    CROSS JOIN LATERAL (
      SELECT upstream FROM oban_workflow_edges WHERE downstream = r.id LIMIT 1
    ) first
  WHERE
    NOT EXISTS (
      SELECT
      FROM
        (SELECT upstream, judges FROM oban_workflow_edges WHERE downstream = r.id OFFSET 0) e
        LEFT JOIN LATERAL (
          SELECT
            oban_workflow_was_skipped_v1(state::text, attempt, meta)
              OR CASE WHEN e.judges THEN meta -> 'workflow_judged' = 'false' ELSE false END AS skipped
          FROM
            oban_jobs
          WHERE
            id = e.upstream
            AND e.upstream > 0
          OFFSET
            0
        ) j ON true
        LEFT JOIN LATERAL (
          SELECT
            oban_workflow_group_was_skipped_v2(key, state, total, subs, skipped, subs_skipped, skips, judged) AS skipped
          FROM
            oban_workflow_groups
          WHERE
            key = e.upstream
            AND e.upstream < 0
          OFFSET
            0
        ) g ON true
      WHERE
        NOT COALESCE(
          j.skipped, g.skipped, (SELECT gone = 'skipped' FROM oban_workflow_members WHERE id = e.upstream), false
        )
    );
END;
$$;
