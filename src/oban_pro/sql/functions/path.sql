-- Where a member stands: the names from its root down to itself. A graft is transparent: the grafter goes by
-- the name of the graft, and what was grafted lies directly below it.
--
-- Called by: queries that show members to people. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_path(p_id bigint)
RETURNS text[]
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH RECURSIVE up AS (
    SELECT
      m.group_key, m.name, 0 AS height
    FROM
      oban_workflow_members m
    WHERE
      m.id = p_id
    UNION ALL
    SELECT
      m.group_key, m.name, up.height + 1
    FROM
      up
      JOIN oban_workflow_members m ON m.id = up.group_key
  )
  SELECT
    COALESCE(array_agg(up.name ORDER BY up.height DESC) FILTER (WHERE g.kind <> 'graft'), '{}')
  FROM
    up
    JOIN oban_workflow_groups g ON g.key = up.group_key
$$;
