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
  oban_workflow_group_was_skipped_v1(p_state, p_total, p_subs, p_skipped, p_subs_skipped, p_skips, p_judged)
  AND (p_skips IS TRUE OR p_subs > 0 OR NOT oban_workflow_is_all_finals(p_key, p_skipped));
