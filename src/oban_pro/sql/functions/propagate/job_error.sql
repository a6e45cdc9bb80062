-- Make an entry for the errors of a job that the database settles, as oban makes one for an attempt that failed.
--
-- p_upstream is the member whose end cancelled the job, if one did: 0 where nobody told which. It is stored under
-- "upstream", where oban_workflow_upstream_v1 finds it. The sentence is for people, and no code reads it.
--
-- Called by: every function that cancels or discards a job. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_job_error(
  p_attempt integer,
  p_text text,
  p_at timestamp,
  p_upstream bigint DEFAULT NULL
)
RETURNS jsonb
LANGUAGE sql
STABLE
RETURN jsonb_strip_nulls(jsonb_build_object(
  'attempt', p_attempt,
  'at', to_char(p_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
  'error', CASE WHEN p_upstream IS NULL THEN p_text ELSE 'cancelled because upstream ' || p_text END,
  'upstream', p_upstream
));
