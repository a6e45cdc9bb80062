-- The jobs among some members and in groups among them, with everything that depends on one of them, at any distance; and
-- of each whether it depends on another of them. What depends on a group depends on all that is in it.
--
-- Called by: oban_workflow_rerun_v1, oban_workflow_go_forward. Locks nothing; the caller holds the root.
CREATE OR REPLACE FUNCTION oban_workflow_downstream_of(p_members bigint[])
RETURNS TABLE (id bigint, follows boolean)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH RECURSIVE walk AS (
    -- role: 'around' for groups that stay as they are, around what runs again; 'after' for what depends on that
    SELECT
      u.id, 'named' AS role
    FROM
      unnest(p_members) AS u(id)
    UNION
    SELECT
      next.id, next.role
    FROM
      walk
      CROSS JOIN LATERAL (
        (SELECT group_key AS id, 'around' AS role FROM oban_workflow_members WHERE id = walk.id OFFSET 0)
        UNION ALL
        (SELECT downstream, 'after' FROM oban_workflow_edges WHERE upstream = walk.id OFFSET 0)
        UNION ALL
        (SELECT id, walk.role FROM oban_workflow_members WHERE group_key = walk.id AND walk.role <> 'around' OFFSET 0)
      ) next
  )
  SELECT
    walk.id, bool_or(walk.role = 'after')
  FROM
    walk
  WHERE
    walk.id > 0
  GROUP BY
    walk.id
$$;
