-- Move sequences on that are behind, past all ids and keys in use. Returns how many it moved.
--
-- Called by: the doctor.
-- Locks: an advisory lock, so that nobody moves one back that somebody else has just moved on.
-- Twice: a second call moves nothing.
CREATE OR REPLACE FUNCTION oban_workflow_repair_sequences_v1()
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('oban_workflows.sequences', 0));

  RETURN (SELECT count(setval(s.name::regclass, s.used)) FROM oban_workflow_sequences_v1() s);
END;
$$;
