-- The jobs of a workflow and of all workflows nested in it; or, with names, of those of its members: a job
-- is itself, a group all the jobs in it. No names at all select nothing.
--
-- Called by: oban_workflow_cancel, oban_workflow_retry. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_jobs_of(p_id text, p_names text[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH RECURSIVE tree AS (
    SELECT
      m.id
    FROM
      oban_workflow_groups g
      JOIN oban_workflow_members m ON m.group_key = g.key
    WHERE
      g.id = p_id
      AND (p_names IS NULL OR m.name = ANY(p_names))
    UNION ALL
    SELECT
      m.id
    FROM
      tree
      -- OFFSET 0 keeps the planner from reading all members for each level
      CROSS JOIN LATERAL (
        SELECT
          id
        FROM
          oban_workflow_members
        WHERE
          group_key = tree.id
        OFFSET
          0
      ) m
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
