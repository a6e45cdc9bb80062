-- Cancel jobs that were just acknowledged to be tried again, in groups that fail fast and have more failures than they
-- tolerate; final jobs and undos are tried again. Returns them, and when they were attempted. p_rules are the rare rules of
-- the roots.
--
-- Called by: oban_workflow_ack_others, in workflows with tolerances; oban_workflow_ack_v1 carries it on.
-- Locks: the jobs, which the caller holds, as it does the root.
-- Called twice: a cancelled job stays as it is.
CREATE OR REPLACE FUNCTION oban_workflow_cut_short(p_ids bigint[], p_rules smallint, OUT ids bigint[], OUT started timestamp[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH around AS (
    SELECT
      u.id AS job, a.id AS key
    FROM
      unnest(p_ids) AS u(id)
      CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = u.id OFFSET 0) j
      CROSS JOIN LATERAL oban_workflow_around_v1(u.id) a
    WHERE
      j.state IN ('available', 'scheduled', 'retryable')
      AND a.distance > 0
  ),
  late AS (
    SELECT DISTINCT ON (around.job)
      around.job AS id, c.error
    FROM
      around
      JOIN oban_workflow_crossed(ARRAY(SELECT DISTINCT key FROM around)) c ON c.key = around.key
    WHERE
      p_rules & 16 = 0
      OR around.job NOT IN (
        SELECT oban_workflow_finals_of((SELECT root FROM oban_workflow_groups WHERE key = c.key))
      )
    ORDER BY
      around.job
  ),
  cancelled AS (
    UPDATE
      oban_jobs j
    SET
      state = 'cancelled',
      cancelled_at = timezone('UTC', now()),
      meta = j.meta - ARRAY['wait', 'wait_until'],
      errors = j.errors || oban_workflow_job_error(j.attempt, late.error, timezone('UTC', now()))
    FROM
      late
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[late.id])
    RETURNING
      j.id, j.attempted_at
  )
  SELECT array_agg(c.id), array_agg(c.attempted_at) INTO ids, started FROM cancelled c;
END;
$$;
