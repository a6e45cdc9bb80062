-- Whether a group was skipped, by its columns, for one that has other jobs than final ones; see
-- oban_workflow_group_was_skipped_v2.
--
-- Called by: oban_workflow_group_was_skipped_v2, and nodes of older releases. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_group_was_skipped_v1(
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
IMMUTABLE
RETURN
  p_state = 'completed'
  AND (
    p_skips IS TRUE
    OR (
      COALESCE(p_skipped, 0) + COALESCE(p_subs_skipped, 0) > 0
      AND COALESCE(p_skipped, 0) = p_total - (p_judged IS NOT NULL)::integer
      AND COALESCE(p_subs_skipped, 0) = p_subs
    )
  );
