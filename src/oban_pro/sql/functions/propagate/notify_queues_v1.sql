-- Tell every node that queues have jobs to run, on the channel that oban's stager listens to.
--
-- Called by: whoever made jobs available. Nothing but the delay depends on it: the stager also polls.
-- Called twice: PostgreSQL sends equal notifications of one transaction once.
CREATE OR REPLACE FUNCTION oban_workflow_notify_queues_v1(p_queues text[])
RETURNS void
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
  SELECT
    pg_notify(current_schema() || '.oban_insert', json_build_object('queue', u.queue)::text)
  FROM
    unnest(p_queues) AS u(queue)
$$;
