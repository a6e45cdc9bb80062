-- Settle the final jobs that nothing is pending for and that must not run: because of the outcome of their workflow,
-- because all of their dependencies were skipped, or because the workflow never opened or was skipped. Returns them, and how they
-- settled. From the other jobs it removes the note that they were skipped before.
--
-- Called by: oban_workflow_hold_back.
-- Locks: the rows of the jobs; the caller holds the root.
-- Called twice: a settled job is not suspended any more.
CREATE OR REPLACE FUNCTION oban_workflow_judge_finals(p_ids bigint[], OUT ids bigint[], OUT new text[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
BEGIN
  WITH judged AS MATERIALIZED (
    SELECT
      f.id,
      NOT e.opened AND e.outcome <> 'completed' AS is_cancelled,
      CASE
        WHEN NOT e.opened THEN 'the workflow never started'
        WHEN g.skips THEN 'its ' || oban_workflow_member_label_v1(f.group_key) || ' was skipped'
        WHEN f.runs_on = 'completed' AND e.outcome <> 'completed' OR f.runs_on = 'failed' AND e.outcome = 'completed'
          THEN 'the workflow was ' || e.outcome
        WHEN EXISTS (SELECT FROM oban_workflow_edges WHERE downstream = f.id) AND NOT EXISTS (
          SELECT
          FROM
            (SELECT upstream FROM oban_workflow_edges WHERE downstream = f.id OFFSET 0) d
            LEFT JOIN LATERAL (
              SELECT state = 'completed' AND meta ? 'skipped' AND attempt = 0 AS was FROM oban_jobs WHERE id = d.upstream OFFSET 0
            ) skipped ON true
          WHERE
            skipped.was IS NOT TRUE
        )
          THEN 'everything that it depends on was skipped'
      END AS reason
    FROM
      oban_workflow_finals f
      CROSS JOIN LATERAL (SELECT opened, outcome FROM oban_workflow_ends WHERE group_key = f.group_key OFFSET 0) e
      CROSS JOIN LATERAL (SELECT skips FROM oban_workflow_groups WHERE key = f.group_key OFFSET 0) g
    WHERE
      f.id = ANY(p_ids)
  ),
  changed AS (
    UPDATE
      oban_jobs j
    SET
      state = CASE
        WHEN f.reason IS NULL THEN 'suspended'
        WHEN f.is_cancelled THEN 'cancelled'
        ELSE 'completed'
      END::oban_job_state,
      -- tells it from a job that ran
      attempt = CASE WHEN f.reason IS NULL OR f.is_cancelled THEN j.attempt ELSE 0 END,
      completed_at = CASE WHEN f.reason IS NOT NULL AND NOT f.is_cancelled THEN v_now END,
      cancelled_at = CASE WHEN f.is_cancelled THEN v_now END,
      meta = CASE
        WHEN f.reason IS NULL OR f.is_cancelled THEN j.meta - 'skipped'
        ELSE j.meta - 'paused_from' || jsonb_build_object('skipped', f.reason)
      END,
      errors = CASE
        WHEN f.is_cancelled THEN j.errors || oban_workflow_job_error(j.attempt, 'cancelled because ' || f.reason, v_now)
        ELSE j.errors
      END
    FROM
      judged f
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[f.id])
      AND (j.state = 'suspended') IS TRUE
      AND (f.reason IS NOT NULL OR j.meta ? 'skipped')
    RETURNING
      j.id, j.state::text
  )
  SELECT
    COALESCE(array_agg(id), '{}'),
    COALESCE(array_agg(CASE state WHEN 'completed' THEN 'skipped' ELSE state END), '{}')
  INTO
    ids, new
  FROM
    changed
  WHERE
    state <> 'suspended';
END;
$$;
