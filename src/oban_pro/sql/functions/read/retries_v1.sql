-- Groups of a workflow in which jobs ran more than once: when the first attempt failed, and when the last began. Some
-- jobs of each group are looked at: fifty of those that wait for a time or were cancelled, and fifty others.
--
-- Called by: the page of a workflow. Locks nothing. Its plan is kept: each scan is one of an index, and ends where
-- fifty are found.
CREATE OR REPLACE FUNCTION oban_workflow_retries_v1(p_id text)
RETURNS TABLE (key bigint, failed_at text, attempted_at timestamp)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT
    tree.key, min(to_jsonb(j.errors) #>> '{0,at}'), max(j.attempted_at)
  FROM
    oban_workflow_groups top
    CROSS JOIN LATERAL oban_workflow_groups_in_v1(top.key) tree
    CROSS JOIN LATERAL (
      (
        SELECT
          state, attempt, attempted_at, errors
        FROM
          oban_jobs
        WHERE
          meta ->> 'workflow_id' = tree.id
          AND meta ? 'workflow_id'
          AND (state IN ('scheduled', 'retryable', 'cancelled', 'discarded') OR attempt > 1)
          AND state IN ('available', 'executing', 'retryable', 'completed', 'discarded')
        LIMIT
          50
      )
      UNION ALL
      (
        SELECT
          state, attempt, attempted_at, errors
        FROM
          oban_jobs
        WHERE
          meta ->> 'workflow_id' = tree.id
          AND meta ? 'workflow_id'
          AND state IN ('scheduled', 'cancelled')
        LIMIT
          50
      )
    ) j
  WHERE
    top.id = p_id
    AND (j.attempt > 1 OR j.state = 'retryable')
  GROUP BY
    tree.key;
END;
$$;
