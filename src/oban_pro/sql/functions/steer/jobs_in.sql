-- The jobs among some members, and those in groups among them, at any depth; each with the member that it is, or is in. A
-- job comes once for each of these.
--
-- Called by: functions that look for all jobs in a part of a workflow. Locks nothing. OFFSET 0: see PLANS.md.
CREATE OR REPLACE FUNCTION oban_workflow_jobs_in(p_members bigint[])
RETURNS TABLE (id bigint, member bigint)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH RECURSIVE tree AS (
    SELECT
      u.id, u.id AS member
    FROM
      unnest(p_members) AS u(id)
    UNION ALL
    SELECT
      m.id, tree.member
    FROM
      tree
      CROSS JOIN LATERAL (SELECT id FROM oban_workflow_members WHERE group_key = tree.id OFFSET 0) m
    WHERE
      tree.id < 0
  )
  SELECT
    tree.id, tree.member
  FROM
    tree
  WHERE
    tree.id > 0
$$;
