-- The contexts of a workflow and of those around it, each with its distance.
--
-- Called by: oban_workflow_context_values and oban_workflow_lazy_context_v2, whose settings of the planner it runs with.
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
