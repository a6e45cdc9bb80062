-- Propagate changes of job states through their workflows: count them, settle the groups that they complete, release
-- the jobs whose last dependency is satisfied, cancel the jobs with a broken dependency, and so on downstream until
-- nothing changes any more.
--
-- p_ids are jobs, p_old and p_new their states before and after ('deleted' for a row that is gone, 'skipped' for one that
-- completed without having run),
-- p_started when they were attempted. If p_unended, some jobs may have been stopped, or revived, while their executions
-- go on; p_ran_at and p_producers say when these executions began, and which producers run them. This applies to plain
-- jobs as well. In all else, jobs that are in no workflow are skipped.
--
-- One statement may change jobs in every direction. So jobs that it reopens are handled first, then jobs that it made
-- runnable too early are suspended again, and jobs that it settles come last.
--
-- Called by: the triggers on oban_jobs, in the transaction that changed the states.
-- Locks: the roots (oban_workflow_lock_roots_late), then rows of the three tables, then suspended jobs.
-- Called twice: each call applies differences, so a caller reports each change once. The triggers do: a row
-- changes its state in one statement. A flag keeps them from answering the updates made here.
CREATE OR REPLACE FUNCTION oban_workflow_apply_changes(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[] DEFAULT '{}',
  p_unended boolean DEFAULT false,
  p_ran_at timestamp[] DEFAULT '{}',
  p_producers text[] DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
-- the trigger has it off; what is done for many at once may be done by scanning
SET enable_seqscan = on
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_old text[] := p_old;
  v_new text[] := p_new;
  v_reopened bigint[];
  v_reopened_old text[];
  v_held bigint[];
  v_waiting bigint[];
  v_rules smallint := oban_workflow_lock_roots_late(p_ids);
  v_unended bigint[] := '{}';
BEGIN
  PERFORM oban_workflow_check_sight();
  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  IF p_unended THEN
    SELECT rules, suspended FROM oban_workflow_hold_unended(p_ids, p_old, p_new, p_ran_at, p_producers, v_rules)
    INTO v_rules, v_unended;
  END IF;

  IF v_rules IS NULL THEN
    PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

    RETURN;
  END IF;

  SELECT
    array_agg(w.id) FILTER (WHERE w.old IN ('completed', 'skipped', 'cancelled', 'discarded')),
    array_agg(w.old) FILTER (WHERE w.old IN ('completed', 'skipped', 'cancelled', 'discarded')),
    array_agg(w.id) FILTER (WHERE w.new IN ('available', 'scheduled', 'retryable')),
    array_agg(w.id) FILTER (WHERE w.new = 'suspended')
  INTO
    v_reopened, v_reopened_old, v_held, v_waiting
  FROM
    unnest(p_ids, p_old, p_new) AS w(id, old, new)
  WHERE
    w.old IN ('suspended', 'completed', 'skipped', 'cancelled', 'discarded')
    OR w.new = 'suspended';

  IF v_reopened IS NOT NULL THEN
    PERFORM oban_workflow_reopen(v_reopened, v_reopened_old, v_rules, p_ids);
    v_old := ARRAY(
      SELECT
        CASE WHEN w.old = 'suspended' THEN w.old ELSE 'executing' END
      FROM
        unnest(p_old) WITH ORDINALITY AS w(old, n)
      ORDER BY
        w.n
    );
  END IF;

  IF v_rules & 64 > 0 THEN
    v_unended := v_unended || (
      SELECT
        ids
      FROM
        oban_workflow_hold_paused(
          ARRAY(
            SELECT w.id FROM unnest(p_ids, p_old, p_new) AS w(id, old, new) WHERE w.old = 'executing' AND w.new = 'available'
          )
        )
    );
  END IF;

  IF v_held IS NOT NULL OR cardinality(v_unended) > 0 THEN
    v_held := v_unended || oban_workflow_suspend_again(v_held, v_rules);
    v_new := ARRAY(
      SELECT
        CASE WHEN w.id = ANY(v_held) THEN 'suspended' ELSE w.new END
      FROM
        unnest(p_ids, p_new) WITH ORDINALITY AS w(id, new, n)
      ORDER BY
        w.n
    );
  END IF;

  IF v_rules & 1 > 0 THEN
    PERFORM oban_workflow_close_waits(
      ARRAY(
        SELECT
          w.id
        FROM
          unnest(p_ids, v_new) AS w(id, new)
        WHERE
          w.new IN ('completed', 'skipped', 'cancelled', 'discarded', 'deleted')
      ),
      false
    );
  END IF;

  IF v_rules & 49 > 0 THEN
    -- waits that were put back open, final jobs are judged, jobs line up
    v_waiting := v_waiting || v_held;
  END IF;

  PERFORM oban_workflow_notify_queues_v1(
    oban_workflow_propagate(p_ids, v_old, v_new, p_started, COALESCE(v_waiting, '{}'), v_rules)
  );

  IF v_waiting IS NOT NULL OR v_held IS NOT NULL THEN
    PERFORM oban_workflow_wait_on_purpose(v_waiting || v_held, v_rules);
  END IF;

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);
END;
$$;
