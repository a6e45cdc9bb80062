-- A group and all groups nested in it, at any depth, each with its path from the first: what was grafted lies where its
-- graft does.
--
-- Called by: queries that show members of a workflow by path. Locks nothing. It is inlined, as oban_workflow_groups_in_v1
-- is; that one does not read the names. OFFSET 0: see PLANS.md.
CREATE OR REPLACE FUNCTION oban_workflow_groups_by_path_v1(p_key bigint)
RETURNS TABLE (key bigint, id text, kind text, path text[])
LANGUAGE sql
STABLE
BEGIN ATOMIC
  WITH RECURSIVE tree AS (
    SELECT
      g.key, g.id, g.kind, '{}'::text[] AS path
    FROM
      oban_workflow_groups g
    WHERE
      g.key = p_key
    UNION ALL
    SELECT
      g.key, g.id, g.kind, CASE WHEN tree.kind = 'graft' THEN tree.path ELSE tree.path || m.name END
    FROM
      tree
      CROSS JOIN LATERAL (SELECT key, id, kind FROM oban_workflow_groups WHERE parent = tree.key OFFSET 0) g
      CROSS JOIN LATERAL (SELECT name FROM oban_workflow_members WHERE id = g.key OFFSET 0) m
  )
  SELECT
    tree.key, tree.id, tree.kind, tree.path
  FROM
    tree;
END;
