-- Which of some jobs were undone, or are being undone at this moment.
--
-- Called by: oban_workflow_retry_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_undone(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    u.id
  FROM
    oban_workflow_undos u
    LEFT JOIN LATERAL (SELECT gone FROM oban_workflow_members WHERE id = u.undo_id OFFSET 0) m ON true
    LEFT JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = u.undo_id OFFSET 0) j ON true
  WHERE
    u.id = ANY(p_ids)
    AND u.undo_id IS NOT NULL
    AND (
      COALESCE(j.state::text, m.gone, 'completed') IN ('completed', 'executing')
      OR EXISTS (SELECT FROM oban_workflow_unended e WHERE e.id = u.undo_id)
    )
$$;
