-- Run jobs of a workflow again, nested ones included: those cancelled, discarded or retryable; or some of
-- its members, and of these the completed ones too. Returns how many. A job whose dependencies are all
-- satisfied becomes available, any other waits for them.
--
-- Called by: Workflow.retry_jobs. The jobs are only made to wait here; the trigger takes back what they had
-- satisfied, and releases those with nothing to wait for.
-- Locks: the root first, then the jobs, as oban_workflow_cancel does.
-- Twice: open jobs stay as they are.
CREATE OR REPLACE FUNCTION oban_workflow_retry(p_id text, p_names text[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_ids bigint[];
BEGIN
  IF NOT oban_workflow_lock(p_id) THEN
    RETURN 0;
  END IF;

  PERFORM set_config('lock_timeout', '25ms', true);

  SELECT
    array_agg(j.id)
  INTO
    v_ids
  FROM (
    SELECT
      id
    FROM
      oban_jobs
    WHERE
      id IN (SELECT oban_workflow_jobs_of(p_id, p_names))
      AND (
        state IN ('cancelled', 'discarded', 'retryable')
        OR (state = 'completed' AND p_names IS NOT NULL)
      ) IS TRUE
    ORDER BY
      id
    FOR NO KEY UPDATE
  ) j;

  UPDATE
    oban_jobs
  SET
    state = 'suspended',
    max_attempts = GREATEST(max_attempts, attempt + 1),
    scheduled_at = timezone('UTC', now()),
    completed_at = NULL,
    cancelled_at = NULL,
    discarded_at = NULL,
    -- the next run may record nothing
    meta = CASE WHEN state = 'completed' THEN meta - ARRAY['recorded', 'return'] ELSE meta END
  WHERE
    id = ANY(v_ids);

  RETURN COALESCE(cardinality(v_ids), 0);
END;
$$;
