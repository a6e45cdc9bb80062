-- For jobs that had settled and are open again: forget that they were undone, and forget what they recorded after they had
-- been cancelled. A job whose undo still executes waits for the end of that execution.
--
-- Called by: oban_workflow_reopen.
-- Locks: rows of oban_workflow_undos; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_forget_undos(p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE
    oban_workflow_undos u
  SET
    ran = false,
    late = NULL,
    undo_id = (SELECT e.id FROM oban_workflow_unended e WHERE e.id = u.undo_id LIMIT 1)
  WHERE
    u.id = ANY(p_ids)
    AND (u.ran OR u.undo_id IS NOT NULL);
END;
$$;
