-- The groups that were grafted to some graft groups, with all that is nested in them.
--
-- Called by: oban_workflow_retry_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_grafted_to(p_grafts bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH RECURSIVE tree AS (
    SELECT
      g.key
    FROM
      unnest(p_grafts) AS graft(key)
      CROSS JOIN LATERAL (SELECT key FROM oban_workflow_groups WHERE parent = graft.key OFFSET 0) g
    UNION
    SELECT
      g.key
    FROM
      tree
      CROSS JOIN LATERAL (SELECT key FROM oban_workflow_groups WHERE parent = tree.key OFFSET 0) g
  )
  SELECT
    key
  FROM
    tree
$$;
