-- The waits that a member means: itself, or those in a group at any depth, but for its timers.
--
-- Called by: oban_workflow_signal_v1, oban_workflow_reject_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_waits_in(p_member bigint)
RETURNS SETOF oban_workflow_waits
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  IF p_member > 0 THEN
    RETURN QUERY SELECT * FROM oban_workflow_waits WHERE id = p_member;
  ELSE
    RETURN QUERY
    SELECT
      w.*
    FROM
      oban_workflow_jobs_in(ARRAY[p_member]) j
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_waits WHERE id = j.id AND kind = 'signal' OFFSET 0) w;
  END IF;
END;
$$;
