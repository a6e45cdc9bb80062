-- Remove jobs in one settled state that are in no workflow, oldest first, and their signals. Returns how many jobs were
-- removed, and where the next call begins: NULL when nothing is left.
--
-- Called by: oban_workflow_prune_v2.
-- Locks: the jobs, passing over those that somebody holds; then rows of signals and calls.
-- Called twice: removes what is left.
--
-- Each state has an index by its own column, as completed_at, and the planner must read it in order: anything else would
-- read all jobs that have aged, for each batch. So the statement is spelled for each state: "settled" in it stands for the
-- state, and in "settled_at" for the column of the state. OFFSET 0: see PLANS.md.
CREATE OR REPLACE FUNCTION oban_workflow_prune_jobs(
  p_state text,
  p_before timestamp,
  p_limit integer,
  p_start jsonb,
  OUT jobs integer,
  OUT next jsonb
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
DECLARE
  v_ids bigint[];
BEGIN
  EXECUTE replace(
    $prune$
      WITH aged AS MATERIALIZED (
        SELECT
          j.id, j.settled_at AS at
        FROM
          oban_jobs j
        WHERE
          j.state = 'settled'
          AND j.settled_at >= $1
          AND j.settled_at <= $2
          AND NOT EXISTS (SELECT FROM oban_workflow_members WHERE id = j.id OFFSET 0)
          AND NOT EXISTS (SELECT FROM oban_workflow_unended WHERE id = j.id OFFSET 0)
        ORDER BY
          j.settled_at
        LIMIT
          $3
        FOR UPDATE SKIP LOCKED
      ),
      deleted AS (
        DELETE FROM
          oban_jobs
        WHERE
          id = ANY(ARRAY(SELECT id FROM aged))
      )
      SELECT
        count(*), CASE WHEN count(*) = $3 THEN jsonb_build_object('at', max(at)) END, array_agg(id)
      FROM
        aged
    $prune$,
    'settled',
    p_state
  )
  INTO
    jobs, next, v_ids
  USING
    COALESCE((p_start ->> 'at')::timestamp, (p_start ->> 'since')::timestamp, '-infinity'), p_before, p_limit;

  IF v_ids IS NOT NULL THEN
    PERFORM oban_workflow_remove_signals(v_ids);
  END IF;
END;
$$;
