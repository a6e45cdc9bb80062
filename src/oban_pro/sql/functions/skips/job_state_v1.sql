-- The state of a job, by its columns: 'skipped' if it was skipped, which oban calls completed. NULL for a job whose row is
-- gone: its member may know how it settled, as in COALESCE(oban_workflow_job_state_v1(…), m.gone, 'unknown').
--
-- Its operators are found when it is created, so that no search_path changes them and it is still inlined.
CREATE OR REPLACE FUNCTION oban_workflow_job_state_v1(p_state text, p_attempt integer, p_meta jsonb)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN
  CASE WHEN oban_workflow_was_skipped_v1(p_state, p_attempt, p_meta) THEN 'skipped' ELSE p_state END;
