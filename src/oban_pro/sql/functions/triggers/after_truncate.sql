-- Forget all workflows together with their jobs: ids start again at 1, and must not find old bookkeeping.
--
-- Called by: the trigger below, whoever truncates oban_jobs. Locks the tables as TRUNCATE does.
CREATE OR REPLACE FUNCTION oban_workflow_after_truncate()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  TRUNCATE oban_workflow_groups, oban_workflow_members, oban_workflow_edges, oban_workflow_unended, oban_workflow_waits,
    oban_workflow_signals, oban_workflow_awaits, oban_workflow_timers, oban_workflow_joins, oban_workflow_pauses,
    oban_workflow_keys, oban_workflow_finals, oban_workflow_ends, oban_workflow_undos RESTART IDENTITY;

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_after_truncate
AFTER TRUNCATE ON oban_jobs
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_after_truncate();
