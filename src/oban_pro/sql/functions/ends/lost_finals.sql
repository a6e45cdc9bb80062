-- Which of some final jobs cannot run again: their rows are gone, or they depend, at any distance, on one whose row is gone
-- and that had not completed.
--
-- Called by: oban_workflow_arm_finals. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lost_finals(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH RECURSIVE lost AS (
    SELECT
      id, gone AS state
    FROM
      oban_workflow_members
    WHERE
      id = ANY(p_ids)
      AND gone IS NOT NULL
    UNION
    SELECT
      m.id, j.state::text
    FROM
      lost
      CROSS JOIN LATERAL (SELECT downstream FROM oban_workflow_edges WHERE upstream = lost.id OFFSET 0) e
      CROSS JOIN LATERAL (
        SELECT id, ignore_cancelled, ignore_discarded FROM oban_workflow_members WHERE id = e.downstream OFFSET 0
      ) m
      CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = m.id OFFSET 0) j
    WHERE
      oban_workflow_breaks_v1(lost.state, m.ignore_cancelled, m.ignore_discarded)
  )
  SELECT id FROM lost
$$;
