-- Cancel jobs that were just added and depend on something that broke before: p_upstreams, which p_causes describe. The
-- trigger carries it on.
--
-- Called by: appending and grafting. It runs with the rights of the tables' owner, as whoever may add jobs need not be
-- allowed to change any; so it takes only jobs that this transaction has inserted.
-- Locks: the jobs; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_break_jobs_v2(
  p_ids bigint[],
  p_upstreams bigint[],
  p_causes text[]
)
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
    errors = j.errors || oban_workflow_job_error(j.attempt, u.cause, timezone('UTC', now()), u.upstream)
  FROM
    unnest(p_ids, p_upstreams, p_causes) AS u(id, upstream, cause)
  WHERE
    -- ANY: see PLANS.md
    j.id = ANY(ARRAY[u.id])
    AND (j.state = 'suspended') IS TRUE
    -- a row that is visible although its transaction is in progress is of this one, or of a savepoint in it
    AND pg_xact_status(
      (pg_current_xact_id()::text::bigint + age(pg_current_xact_id()::xid) - age(j.xmin))::text::xid8
    ) = 'in progress'
$$;
