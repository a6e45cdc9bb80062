-- Tell the nodes that run some jobs to signal the worker that its job is cancelled.
--
-- Called by: oban_workflow_cancel_v3, oban_workflow_retry_v1. Locks nothing.
-- Called twice: PostgreSQL sends equal notifications of one transaction once.
CREATE OR REPLACE FUNCTION oban_workflow_signal_stop(p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM
    pg_notify(current_schema() || '.oban_signal', json_build_object('action', 'pkill', 'job_id', u.id)::text)
  FROM
    unnest(p_ids) AS u(id);
END;
$$;
