-- The contexts of the group p_group and of the groups that it is nested in, each with its height: 0 for p_group, 1 for
-- its parent, and so on. Groups without a context are left out. OFFSET 0: see PLANS.md.
--
-- Called by: oban_workflow_context_values and oban_workflow_lazy_context_v2. It runs with the planner settings of these.
-- Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_contexts_around(
  p_group bigint,
  OUT key bigint,
  OUT context jsonb,
  OUT height integer
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE around AS (
    SELECT
      g.key, g.parent, g.context, 0 AS height
    FROM
      oban_workflow_groups g
    WHERE
      g.key = p_group
    UNION ALL
    SELECT
      g.key, g.parent, g.context, around.height + 1
    FROM
      around
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE key = around.parent OFFSET 0) g
  )
  SELECT
    a.key, a.context, a.height
  FROM
    around a
  WHERE
    a.context IS NOT NULL;
END;
$$;
