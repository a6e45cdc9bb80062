-- Lock the roots of jobs whose rows are held already, as the triggers must. Returns what oban_workflow_lock_roots
-- does.
--
-- Acks hold roots and may want those rows: each gives up after its lock_timeout, but a queue of them takes
-- longer than PostgreSQL waits before it looks for a deadlock, and then the user's statement would fail.
-- So nobody waits that long at once here, but queues up again. After some rounds only another writer of
-- this kind can be in the way, and PostgreSQL has to decide.
--
-- Called by: oban_workflow_apply_changes, oban_workflow_after_delete.
-- Locks: see oban_workflow_lock_roots; a lock_timeout of the caller's (an ack's too) is left alone.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_roots_late(p_jobs bigint[])
RETURNS smallint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_patience text := (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 800)::int;
  v_rules smallint;
BEGIN
  IF current_setting('lock_timeout') <> '0' THEN
    RETURN oban_workflow_lock_roots(p_jobs);
  END IF;

  FOR v_try IN 1..10 LOOP
    BEGIN
      PERFORM set_config('lock_timeout', v_patience, true);
      v_rules := oban_workflow_lock_roots(p_jobs);
      PERFORM set_config('lock_timeout', '0', true);

      RETURN v_rules;
    EXCEPTION
      WHEN lock_not_available THEN
        NULL;
    END;
  END LOOP;

  RETURN oban_workflow_lock_roots(p_jobs);
END;
$$;
