-- The jobs among some members, and those in groups among them, at any depth.
--
-- Called by: oban_workflow_pause_v1, oban_workflow_resume_members, oban_workflow_stuck_jobs. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_jobs_in(p_members bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH RECURSIVE tree AS (
    SELECT
      id
    FROM
      unnest(p_members) AS u(id)
    UNION ALL
    SELECT
      m.id
    FROM
      tree
      CROSS JOIN LATERAL (SELECT id FROM oban_workflow_members WHERE group_key = tree.id OFFSET 0) m
    WHERE
      tree.id < 0
  )
  SELECT
    id
  FROM
    tree
  WHERE
    id > 0
$$;
