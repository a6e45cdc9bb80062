-- The groups that were grafted to some graft groups, with all that is nested in them.
--
-- Called by: oban_workflow_retry_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_grafted_to(p_grafts bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT DISTINCT
    g.key
  FROM
    unnest(p_grafts) AS graft(key)
    CROSS JOIN LATERAL oban_workflow_groups_in_v1(graft.key) g
  WHERE
    g.key <> graft.key
$$;
