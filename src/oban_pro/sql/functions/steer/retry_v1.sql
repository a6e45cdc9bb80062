-- Run jobs of a workflow again, nested ones included: those cancelled, discarded or retryable; or some of
-- its members, and of these the completed ones too. Returns how many. A job whose dependencies are all
-- satisfied becomes available, any other waits for them.
--
-- After an undo this goes forward: jobs that were undone run again, with all that is downstream of them. An undo is retried
-- only if it is named and has not completed, with the undos that it had broken.
--
-- A grafter that had completed and is named grafts anew, so what it had grafted is removed: jobs and bookkeeping. The
-- nodes that run some of those jobs are told to signal the worker; their late ack finds no job.
--
-- Called by: Workflow.retry_jobs.
-- Locks: the root first, then the jobs, as oban_workflow_cancel_v3 does.
-- Called twice: open jobs stay as they are.
CREATE OR REPLACE FUNCTION oban_workflow_retry_v1(p_id text, p_names text[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_rules smallint := oban_workflow_lock_root_rules(p_id);
  v_jobs bigint[];
  -- run again though they have completed
  v_anew bigint[] := '{}';
  v_grafts bigint[] := '{}';
  v_grafted bigint[] := '{}';
  v_removed bigint[] := '{}';
  v_executing bigint[];
  v_ids bigint[];
BEGIN
  IF v_rules IS NULL THEN
    RETURN 0;
  END IF;

  PERFORM set_config('lock_timeout', '25ms', true);

  v_jobs := ARRAY(SELECT oban_workflow_jobs_of(p_id, p_names));

  IF p_names IS NOT NULL THEN
    v_anew := v_jobs;
  END IF;

  IF v_rules & 16 > 0 THEN
    SELECT f.jobs, f.anew FROM oban_workflow_go_forward(p_id, p_names, v_jobs) f INTO v_jobs, v_anew;
  END IF;

  IF v_anew <> '{}' THEN
    v_grafts := ARRAY(SELECT oban_workflow_regrafted(v_anew, NULL));
    v_grafted := ARRAY(SELECT oban_workflow_grafted_to(v_grafts));
    v_removed := ARRAY(SELECT id FROM oban_workflow_members WHERE group_key = ANY(v_grafted) AND id > 0);
  END IF;

  SELECT
    array_agg(j.id) FILTER (WHERE j.id = ANY(v_removed) AND j.state = 'executing'),
    array_agg(j.id) FILTER (
      WHERE (j.id = ANY(v_removed)) IS NOT TRUE
        AND (
          j.state IN ('cancelled', 'discarded', 'retryable')
          OR (j.state = 'completed' AND j.id = ANY(v_anew))
        )
    )
  INTO
    v_executing, v_ids
  FROM (
    SELECT
      id, state
    FROM
      oban_jobs
    WHERE
      id = ANY(v_jobs || v_removed)
    ORDER BY
      id
    FOR NO KEY UPDATE
  ) j;

  IF v_rules & 16 > 0 THEN
    -- what had completed first: what depends on it must not start
    PERFORM oban_workflow_run_again(ARRAY(SELECT unnest(v_ids) INTERSECT SELECT unnest(v_anew)), true);
    PERFORM oban_workflow_run_again(ARRAY(SELECT unnest(v_ids) EXCEPT SELECT unnest(v_anew)), false);
  ELSE
    PERFORM oban_workflow_run_again(v_ids, p_names IS NOT NULL);
  END IF;

  PERFORM oban_workflow_remove_grafted(v_grafts, v_grafted, v_removed, v_rules);
  PERFORM oban_workflow_signal_stop(v_executing);

  RETURN COALESCE(cardinality(v_ids), 0);
END;
$$;
