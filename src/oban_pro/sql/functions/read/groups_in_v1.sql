-- A group and all groups nested in it, at any depth: the key of each, its id, and how many of its own jobs were cancelled
-- or discarded.
--
-- Called by: queries and functions that look at a workflow with all that is nested in it. Locks nothing. OFFSET 0: see
-- PLANS.md.
--
-- It is inlined: a statement that calls it has the plan of the recursion itself, unless an argument is a subquery.
CREATE OR REPLACE FUNCTION oban_workflow_groups_in_v1(p_key bigint)
RETURNS TABLE (key bigint, id text, failed integer)
LANGUAGE sql
STABLE
BEGIN ATOMIC
  WITH RECURSIVE tree AS (
    SELECT
      g.key, g.id, g.cancelled + g.discarded AS failed
    FROM
      oban_workflow_groups g
    WHERE
      g.key = p_key
    UNION ALL
    SELECT
      g.key, g.id, g.failed
    FROM
      tree
      CROSS JOIN LATERAL (
        SELECT key, id, cancelled + discarded AS failed FROM oban_workflow_groups WHERE parent = tree.key OFFSET 0
      ) g
  )
  SELECT
    tree.key, tree.id, tree.failed
  FROM
    tree;
END;
