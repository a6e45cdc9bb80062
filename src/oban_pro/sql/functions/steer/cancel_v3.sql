-- Cancel the open jobs of a workflow, nested ones included, or of some of its members; returns how many.
-- Executing ones are marked at once and their nodes told to signal the worker; their late ack finds a job that
-- is no longer executing.
--
-- p_reason and p_sender say why and who, as the caller told. Where they are given, each of these jobs gets an error.
--
-- Called by: Workflow.cancel_jobs. The trigger carries the change on: dependents that are not among these
-- jobs are cancelled too, unless they ignore it.
-- Locks: the root first, then the jobs; gives up after lock_timeout where somebody holds a job and waits
-- for the root, and the caller tries again.
-- Called twice: settled jobs stay as they are.
CREATE OR REPLACE FUNCTION oban_workflow_cancel_v3(
  p_id text,
  p_names text[],
  p_finals boolean,
  p_reason text,
  p_sender text
)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_rules smallint;
  v_jobs bigint[];
  v_ids bigint[];
  v_executing bigint[];
BEGIN
  v_rules := oban_workflow_lock_root_rules(p_id);

  IF v_rules IS NULL THEN
    RETURN 0;
  END IF;

  PERFORM set_config('lock_timeout', '25ms', true);

  v_jobs := ARRAY(SELECT oban_workflow_jobs_of(p_id, p_names));

  IF v_rules & 16 > 0 AND p_finals THEN
    PERFORM oban_workflow_waive_undos(p_id, p_names);
  ELSIF v_rules & 16 > 0 THEN
    v_jobs := ARRAY(SELECT oban_workflow_spare_ends(p_id, p_names, v_jobs));
  END IF;

  SELECT
    array_agg(j.id), array_agg(j.id) FILTER (WHERE j.state = 'executing')
  INTO
    v_ids, v_executing
  FROM (
    SELECT
      id, state
    FROM
      oban_jobs
    WHERE
      id = ANY(v_jobs)
      AND oban_workflow_is_settled_v1(state::text) IS FALSE
    ORDER BY
      id
    FOR NO KEY UPDATE
  ) j;

  IF v_rules & 256 > 0 THEN
    PERFORM oban_workflow_void_whole(ARRAY(
      SELECT key FROM oban_workflow_groups WHERE id = p_id AND p_names IS NULL
      UNION ALL
      SELECT
        m.id
      FROM
        oban_workflow_groups g
        JOIN oban_workflow_members m ON m.group_key = g.key
      WHERE
        g.id = p_id
        AND m.name = ANY(p_names)
        AND m.id < 0
    ));
  END IF;

  UPDATE
    oban_jobs
  SET
    state = 'cancelled',
    cancelled_at = v_now,
    meta = meta - 'paused_from' || jsonb_build_object('cancel_attempted_at', v_now),
    errors = CASE
      WHEN p_reason IS NULL AND p_sender IS NULL THEN errors
      ELSE errors || oban_workflow_job_error(attempt, 'cancelled' || oban_workflow_by_whom(p_reason, p_sender), v_now)
    END
  WHERE
    id = ANY(v_ids);

  PERFORM oban_workflow_signal_stop(v_executing);

  RETURN COALESCE(cardinality(v_ids), 0);
END;
$$;
