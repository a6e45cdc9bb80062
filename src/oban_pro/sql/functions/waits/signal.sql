-- Send a signal from SQL: to a wait, to all waits in a group, or to a job that has called await_signal. Returns how many
-- waits or jobs took it.
--
-- workflow is an id, path a name or names joined by "/", payload any JSON value, sender who the signal is from. If a job
-- waits in await_signal under a name, name is that name. A role that may execute this function may signal, and needs no
-- other right.
--
-- Called by: users of the database; no other function for signals is meant for them.
-- Locks: see oban_workflow_signal_v1.
-- Called twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_signal(
  workflow text,
  path text,
  payload jsonb DEFAULT NULL,
  sender text DEFAULT NULL,
  name text DEFAULT NULL
)
RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  RETURN oban_workflow_signal_v1(
    workflow,
    path,
    oban_workflow_term(COALESCE(payload, 'null')),
    -- the choice: the payload itself if it is text, or its key "choice"
    CASE jsonb_typeof(payload)
      WHEN 'string' THEN payload #>> '{}'
      WHEN 'object' THEN CASE WHEN jsonb_typeof(payload -> 'choice') = 'string' THEN payload ->> 'choice' END
    END,
    sender,
    name
  );
END;
$$;

REVOKE EXECUTE ON FUNCTION oban_workflow_signal FROM PUBLIC;
