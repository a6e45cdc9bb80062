-- Whether a job was skipped: it counts as completed, and never ran.
--
-- The meta of a job that ran is not looked at, as its result may be large.
--
-- Its operators are found when it is created, so that no search_path changes them and it is still inlined.
CREATE OR REPLACE FUNCTION oban_workflow_was_skipped_v1(p_state text, p_attempt integer, p_meta jsonb)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN
  CASE WHEN p_state = 'completed' AND p_attempt = 0 THEN p_meta ? 'skipped' ELSE false END;
