-- Advance sequences that are behind, past all ids and keys in use. Returns how many it advanced.
--
-- Called by: the doctor.
-- Locks: an advisory lock, so that no call sets a sequence back that another call has just advanced.
-- Called twice: a second call moves nothing.
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
