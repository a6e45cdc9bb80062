-- Suspend jobs that are to run again. If p_anew, they forget what they recorded, their turns, which signals they had read,
-- whether their condition was met, and what a pause had noted.
--
-- Called by: oban_workflow_retry_v1, oban_workflow_rerun_v1. The trigger takes back what the jobs had satisfied, and
-- releases those with nothing to wait for.
-- Locks: the rows of the jobs, which the caller holds.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_run_again(p_ids bigint[], p_anew boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
  UPDATE
    oban_jobs
  SET
    state = 'suspended',
    max_attempts = GREATEST(max_attempts, attempt + 1),
    scheduled_at = CASE
      -- its time is still to come
      WHEN attempted_at IS NULL AND state IN ('scheduled', 'suspended')
        AND COALESCE(meta ->> 'paused_from', 'scheduled') = 'scheduled' THEN scheduled_at
      ELSE timezone('UTC', now())
    END,
    completed_at = NULL,
    cancelled_at = NULL,
    discarded_at = NULL,
    meta = CASE
      WHEN p_anew THEN meta - ARRAY[
        'recorded', 'return', 'reused', 'turn', 'again', 'workflow_judged', 'skipped', 'wait', 'wait_until', 'paused_from'
      ]
      ELSE meta
    END
  WHERE
    id = ANY(p_ids);
END;
$$;
