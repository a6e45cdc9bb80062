-- Tell every node that a queue has jobs to run, on the channel that oban's stager listens to.
--
-- Called by: oban_workflow_release. Nothing but the delay depends on it: the stager also polls.
-- Twice: PostgreSQL sends equal notifications of one transaction once.
CREATE OR REPLACE FUNCTION oban_workflow_wake(p_queue text)
RETURNS void
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
  SELECT pg_notify(current_schema() || '.oban_insert', json_build_object('queue', p_queue)::text)
$$;
