-- The queue of something that is to be undone in a workflow or in what is nested in it: what completed, and what was
-- cancelled and may have done its work, or still executes. NULL if there is nothing.
--
-- Called by: oban_workflow_end_bodies. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_undo_queue(p_key bigint)
RETURNS text
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    u.spec ->> 'queue'
  FROM
    oban_workflow_groups_in_v1(p_key) tree
    CROSS JOIN LATERAL (
      SELECT id, spec, ran FROM oban_workflow_undos WHERE group_key = tree.key AND undo_id IS NULL OFFSET 0
    ) u
    CROSS JOIN LATERAL (SELECT gone FROM oban_workflow_members WHERE id = u.id OFFSET 0) m
    LEFT JOIN LATERAL (
      SELECT
        oban_workflow_job_state_v1(state::text, attempt, meta) AS state
      FROM
        oban_jobs
      WHERE
        id = u.id
      OFFSET
        0
    ) j ON true
  WHERE
    u.ran
    OR COALESCE(j.state, m.gone) = 'completed'
    OR EXISTS (SELECT FROM oban_workflow_unended e WHERE e.id = u.id)
  LIMIT
    1
$$;
