-- Cancel the open jobs of fail-fast groups that now have more failures than they tolerate. Executing jobs go on; if one
-- would be tried again, its ack cancels it. Final jobs and undos in these groups run nevertheless. Returns the jobs that were
-- cancelled, and their states before.
--
-- p_ids are members, p_old and p_new their states before and after; they are counted.
--
-- Called by: oban_workflow_update_counters, in workflows with tolerances.
-- Locks: open jobs of the groups, and rows of waits; the caller holds the root.
-- Called twice: a group passes its tolerance only once.
CREATE OR REPLACE FUNCTION oban_workflow_fail_fast(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_rules smallint,
  OUT ids bigint[],
  OUT old text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_groups bigint[];
  v_errors text[];
  -- they run nevertheless
  v_spared bigint[] := '{}';
BEGIN
  ids := '{}';
  old := '{}';

  WITH changes AS (
    SELECT
      m.group_key AS key,
      count(*) FILTER (WHERE w.new IN ('cancelled', 'discarded', 'deleted'))
        - count(*) FILTER (WHERE w.old IN ('cancelled', 'discarded')) AS failed
    FROM
      unnest(p_ids, p_old, p_new) AS w(id, old, new)
      CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = w.id OFFSET 0) m
    WHERE
      'completed' NOT IN (w.old, w.new)
    GROUP BY
      m.group_key
  )
  SELECT
    array_agg(g.key ORDER BY g.key), array_agg(g.error ORDER BY g.key)
  INTO
    v_groups, v_errors
  FROM
    changes c
    CROSS JOIN LATERAL oban_workflow_crossed(ARRAY[c.key]) g
  WHERE
    -- before these changes the group had not failed
    g.failed - c.failed <= g.tolerated;

  IF v_groups IS NULL THEN
    RETURN;
  END IF;

  IF p_rules & 16 > 0 THEN
    v_spared := ARRAY(SELECT oban_workflow_finals_of((SELECT root FROM oban_workflow_groups WHERE key = v_groups[1])));
  END IF;

  WITH open AS MATERIALIZED (
    SELECT DISTINCT ON (inside.id)
      inside.id, failed.error, j.state::text AS state
    FROM
      oban_workflow_jobs_in(v_groups) inside
      JOIN unnest(v_groups, v_errors) AS failed(key, error) ON failed.key = inside.member
      CROSS JOIN LATERAL (
        SELECT
          state
        FROM
          oban_jobs
        WHERE
          id = inside.id
          AND (state IN ('suspended', 'available', 'scheduled', 'retryable')) IS TRUE
        OFFSET
          0
        FOR NO KEY UPDATE
      ) j
    WHERE
      inside.id <> ALL(v_spared)
    ORDER BY
      inside.id
  ),
  cancelled AS (
    UPDATE
      oban_jobs j
    SET
      state = 'cancelled',
      cancelled_at = timezone('UTC', now()),
      errors = j.errors || oban_workflow_job_error(j.attempt, o.error, timezone('UTC', now()))
    FROM
      open o
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[o.id])
  )
  SELECT COALESCE(array_agg(o.id), '{}'), COALESCE(array_agg(o.state), '{}') INTO ids, old FROM open o;

  IF p_rules & 1 > 0 THEN
    PERFORM oban_workflow_close_waits(ids, false);
  END IF;
END;
$$;
