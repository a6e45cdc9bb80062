-- Send a signal to a wait of a workflow from SQL: the one public function. Returns how many waits took it.
--
-- workflow is an id, path a name or names joined by "/", payload any JSON value, sender who it is from, name that of a
-- call of await_signal. A role that may execute this function may signal, and needs no other right.
--
-- Called by: users of the database.
-- Locks, and twice: see oban_workflow_signal_v1.
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
