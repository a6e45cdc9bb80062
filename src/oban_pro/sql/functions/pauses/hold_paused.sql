-- Suspend those of the given jobs that are paused; their meta notes the state to bring them back to. Returns them, and
-- when they were last started.
--
-- Called by: oban_workflow_ack_others, with jobs that are tried again; oban_workflow_apply_changes, with executions that were
-- given up. Both count them in their groups.
-- Locks: the rows of the jobs; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_hold_paused(p_ids bigint[], OUT ids bigint[], OUT started timestamp[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH held AS (
    UPDATE
      oban_jobs
    SET
      state = 'suspended',
      meta = meta || jsonb_build_object('paused_from', state)
    WHERE
      id = ANY(ARRAY(SELECT oban_workflow_paused(p_ids)))
      AND (state IN ('available', 'scheduled', 'retryable')) IS TRUE
    RETURNING
      id, attempted_at
  )
  SELECT
    COALESCE(array_agg(h.id), '{}'), COALESCE(array_agg(h.attempted_at), '{}')
  INTO
    ids, started
  FROM
    held h;
END;
$$;
