-- Whether a group was skipped, by its columns: it has completed, and either its gate skipped everything behind it, or
-- all of its jobs and groups except the judge were skipped. A group that is empty, or has nothing but final jobs, is
-- skipped only by its gate.
--
-- Its operators are found when it is created, so that no search_path changes them and it is still inlined.
CREATE OR REPLACE FUNCTION oban_workflow_group_was_skipped_v2(
  p_key bigint,
  p_state text,
  p_total integer,
  p_subs integer,
  p_skipped integer,
  p_subs_skipped integer,
  p_skips boolean,
  p_judged smallint
)
RETURNS boolean
LANGUAGE sql
STABLE
RETURN
  p_state = 'completed'
  AND (
    p_skips IS TRUE
    OR (
      COALESCE(p_skipped, 0) + COALESCE(p_subs_skipped, 0) > 0
      AND COALESCE(p_skipped, 0) = p_total - (p_judged IS NOT NULL)::integer
      AND COALESCE(p_subs_skipped, 0) = p_subs
      AND (p_subs > 0 OR NOT oban_workflow_is_all_finals(p_key, p_skipped))
    )
  );
