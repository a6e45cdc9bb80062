-- Cancel jobs that were just added and depend on something that broke before. The trigger carries it on.
--
-- Called by: appending and grafting. It runs with the rights of the tables' owner, as whoever may add jobs need not be
-- allowed to change any; so it takes only jobs that this transaction has inserted.
-- Locks: the jobs; the caller holds the root.
-- Twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_break_jobs_v1(p_ids bigint[], p_causes text[])
RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
  UPDATE
    oban_jobs j
  SET
    state = 'cancelled',
    cancelled_at = timezone('UTC', now()),
    errors = j.errors || jsonb_build_object(
      'attempt', j.attempt,
      'at', to_char(timezone('UTC', now()), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
      'error', 'cancelled because upstream ' || u.cause
    )
  FROM
    unnest(p_ids, p_causes) AS u(id, cause)
  WHERE
    -- see oban_workflow_update_counters
    j.id = ANY(ARRAY[u.id])
    AND (j.state = 'suspended') IS TRUE
    -- a row that is visible although its transaction is in progress is of this one, or of a savepoint in it
    AND pg_xact_status(
      (pg_current_xact_id()::text::bigint + age(pg_current_xact_id()::xid) - age(j.xmin))::text::xid8
    ) = 'in progress'
$$;
