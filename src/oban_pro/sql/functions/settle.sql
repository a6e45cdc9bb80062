-- Carry changes of job states through the workflows they belong to: count them, settle the groups they
-- complete, release the jobs whose last dependency is satisfied, cancel those with one that broke, and so
-- on down until nothing moves.
--
-- p_ids are jobs, p_old and p_new their states before and after ('deleted' for a row that is gone),
-- p_started when they were attempted. Jobs that are in no workflow are passed over.
--
-- A statement may do everything at once, so what it takes back goes first and what it settles last. In
-- between, jobs that somebody made runnable too early are put back to wait.
--
-- Called by: the triggers on oban_jobs, in the transaction that changed the states.
-- Locks: the roots (oban_workflow_lock_roots_late), then rows of the three tables, then suspended jobs.
-- Twice: each call applies differences, so a caller reports each change once. The triggers do: a row
-- changes its state in one statement. A flag keeps them from answering the updates made here.
CREATE OR REPLACE FUNCTION oban_workflow_settle(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[] DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
-- the trigger has it off; what is done for many at once may be done by scanning
SET enable_seqscan = on
AS $$
DECLARE
  v_old text[] := p_old;
  v_new text[] := p_new;
  v_reopened bigint[];
  v_reopened_old text[];
  v_held bigint[];
  v_waiting bigint[];
BEGIN
  IF NOT oban_workflow_lock_roots_late(p_ids) THEN
    RETURN;
  END IF;

  PERFORM set_config('oban_workflows.engine', 'on', true);

  SELECT
    array_agg(w.id) FILTER (WHERE w.old IN ('completed', 'cancelled', 'discarded')),
    array_agg(w.old) FILTER (WHERE w.old IN ('completed', 'cancelled', 'discarded')),
    array_agg(w.id) FILTER (WHERE w.new IN ('available', 'scheduled', 'retryable')),
    array_agg(w.id) FILTER (WHERE w.new = 'suspended')
  INTO
    v_reopened, v_reopened_old, v_held, v_waiting
  FROM
    unnest(p_ids, p_old, p_new) AS w(id, old, new)
  WHERE
    w.old IN ('suspended', 'completed', 'cancelled', 'discarded')
    OR w.new = 'suspended';

  IF v_reopened IS NOT NULL THEN
    PERFORM oban_workflow_reopen(v_reopened, v_reopened_old);
    v_old := ARRAY(
      SELECT
        CASE WHEN w.old = 'suspended' THEN w.old ELSE 'executing' END
      FROM
        unnest(p_old) WITH ORDINALITY AS w(old, n)
      ORDER BY
        w.n
    );
  END IF;

  IF v_held IS NOT NULL THEN
    v_held := oban_workflow_hold(v_held);
    v_new := ARRAY(
      SELECT
        CASE WHEN w.id = ANY(v_held) THEN 'suspended' ELSE w.new END
      FROM
        unnest(p_ids, p_new) WITH ORDINALITY AS w(id, new, n)
      ORDER BY
        w.n
    );
  END IF;

  PERFORM oban_workflow_wake(oban_workflow_carry(p_ids, v_old, v_new, p_started, COALESCE(v_waiting, '{}')));

  PERFORM set_config('oban_workflows.engine', 'off', true);
END;
$$;
