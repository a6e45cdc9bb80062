-- The member whose end cancelled a job, by the last of the job's errors: a number, as oban_workflow_job_error wrote it.
-- NULL for a job that failed by itself, or that somebody cancelled. p_errors is to_jsonb(errors): the column is an array
-- of jsonb where Oban for Elixir made the table.
--
-- Called by: what explains and lists jobs. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_upstream_v1(p_errors jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
RETURN p_errors -> -1 -> 'upstream';
