-- Run jobs of a workflow again, nested ones included: those cancelled, discarded or retryable; or some of
-- its members, and of these the completed ones too. Returns how many. A job whose dependencies are all
-- satisfied becomes available, any other waits for them.
--
-- A grafter that had completed and is named grafts anew, so what it had grafted is removed: jobs and bookkeeping. The
-- nodes that run some of those jobs are told to signal the worker; their late ack finds no job.
--
-- Called by: Workflow.retry_jobs. The jobs are only made to wait here; the trigger takes back what they had
-- satisfied, and releases those with nothing to wait for.
-- Locks: the root first, then the jobs, as oban_workflow_cancel_v1 does.
-- Twice: open jobs stay as they are.
CREATE OR REPLACE FUNCTION oban_workflow_retry_v1(p_id text, p_names text[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_jobs bigint[];
  v_grafts bigint[];
  v_grafted bigint[];
  v_removed bigint[];
  v_executing bigint[];
  v_ids bigint[];
BEGIN
  IF NOT oban_workflow_lock_root_v1(p_id) THEN
    RETURN 0;
  END IF;

  PERFORM set_config('lock_timeout', '25ms', true);

  v_jobs := ARRAY(SELECT oban_workflow_jobs_of(p_id, p_names));

  IF p_names IS NOT NULL THEN
    v_grafts := ARRAY(
      SELECT
        g.key
      FROM
        (SELECT DISTINCT group_key FROM oban_workflow_members WHERE id = ANY(v_jobs)) m
        CROSS JOIN LATERAL (
          SELECT key FROM oban_workflow_groups WHERE key = m.group_key AND kind = 'graft' AND subs > 0 OFFSET 0
        ) g
        CROSS JOIN LATERAL (
          SELECT id FROM oban_workflow_members WHERE group_key = g.key AND name = 'grafter' OFFSET 0
        ) grafter
        CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = grafter.id OFFSET 0) j
      WHERE
        j.state = 'completed'
    );
    v_grafted := ARRAY(SELECT oban_workflow_grafted_to(v_grafts));
    v_removed := ARRAY(SELECT id FROM oban_workflow_members WHERE group_key = ANY(v_grafted) AND id > 0);
  END IF;

  SELECT
    array_agg(j.id) FILTER (WHERE j.id = ANY(v_removed) AND j.state = 'executing'),
    array_agg(j.id) FILTER (
      WHERE (j.id = ANY(v_removed)) IS NOT TRUE
        AND (
          j.state IN ('cancelled', 'discarded', 'retryable')
          OR (j.state = 'completed' AND p_names IS NOT NULL)
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

  -- what was grafted keeps the group of the graft as it is until the grafter runs again
  UPDATE
    oban_jobs
  SET
    state = 'suspended',
    max_attempts = GREATEST(max_attempts, attempt + 1),
    scheduled_at = timezone('UTC', now()),
    completed_at = NULL,
    cancelled_at = NULL,
    discarded_at = NULL,
    -- the next run may record nothing; of jobs that are named, loops begin anew, and conditions are asked again
    meta = CASE
      WHEN p_names IS NOT NULL THEN meta - ARRAY['recorded', 'return', 'turn', 'again', 'workflow_judged', 'skipped']
      ELSE meta
    END
  WHERE
    id = ANY(v_ids);

  IF cardinality(v_grafted) > 0 THEN
    IF row_security_active('oban_jobs') AND EXISTS (
      SELECT
      FROM
        oban_workflow_members m
      WHERE
        m.id = ANY(v_removed)
        AND m.gone IS NULL
        AND NOT EXISTS (SELECT FROM oban_jobs WHERE id = m.id)
    ) THEN
      RAISE insufficient_privilege USING
        MESSAGE = 'row level security hides jobs that were grafted, so the grafter cannot graft anew';
    END IF;

    PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

    DELETE FROM oban_jobs WHERE id = ANY(v_removed);

    PERFORM oban_workflow_remove_groups(
      v_grafted,
      (SELECT rules FROM oban_workflow_groups WHERE key = (SELECT root FROM oban_workflow_groups WHERE id = p_id))
    );
    PERFORM oban_workflow_signal_stop(v_executing);
    PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

    UPDATE
      oban_workflow_groups
    SET
      subs = 0,
      subs_completed = 0,
      subs_cancelled = 0,
      subs_discarded = 0,
      subs_skipped = NULL
    WHERE
      key = ANY(v_grafts);
  END IF;

  RETURN COALESCE(cardinality(v_ids), 0);
END;
$$;
