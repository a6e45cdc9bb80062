-- How many of the seconds since a moment the database could receive heartbeats.
--
-- A moment in the future is one from before the clock was set back: all that was heard since then counts. NULL counts
-- as a moment before everything.
--
-- Called by: oban_workflow_silent_jobs_v1, right after oban_workflow_hear. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_heard_since(p_since timestamp)
RETURNS double precision
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    COALESCE(sum(extract(epoch FROM h.heard_until - GREATEST(h.heard_from, s.since))), 0)::double precision
  FROM
    (
      SELECT
        CASE WHEN p_since <= timezone('UTC', now()) + interval '15 seconds' THEN p_since ELSE '-infinity' END AS since
    ) s
    JOIN oban_workflow_hearing h ON h.heard_until > s.since
$$;
