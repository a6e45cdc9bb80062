-- Lock root workflows in a transaction that sees the database as it was at its first statement (REPEATABLE READ,
-- SERIALIZABLE), or raise a serialization failure if one of them has changed since.
--
-- The lock of a root does not show that. PostgreSQL refuses to lock a row that was changed after the snapshot, and
-- whatever changes a workflow changes a row of its groups, but not always that of the root. So this locks all of them.
--
-- Called by: oban_workflow_lock_roots, oban_workflow_lock_root_v1; never at READ COMMITTED.
-- Locks: the roots, ascending, then the groups in them.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_unchanged(p_roots bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM FROM oban_workflow_groups WHERE key = ANY(p_roots) ORDER BY key FOR NO KEY UPDATE;
  PERFORM FROM oban_workflow_groups WHERE root = ANY(p_roots) ORDER BY key FOR NO KEY UPDATE;
EXCEPTION
  WHEN serialization_failure THEN
    RAISE EXCEPTION USING
      MESSAGE = 'a workflow has changed since this ' || upper(current_setting('transaction_isolation'))
        || ' transaction began to read',
      HINT = 'Repeat the transaction, or run it at READ COMMITTED.',
      ERRCODE = 'serialization_failure';
END;
$$;
