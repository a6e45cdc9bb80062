-- Where a member stands: the names from its root down to itself. A graft is transparent: the grafter goes by
-- the name of the graft, and what was grafted lies directly below it.
--
-- Called by: queries that show members to people. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_path_v1(p_id bigint)
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
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = up.group_key OFFSET 0) m
  )
  SELECT
    COALESCE(array_agg(up.name ORDER BY up.height DESC) FILTER (WHERE g.kind <> 'graft' OR up.name = 'when'), '{}')
  FROM
    up
    CROSS JOIN LATERAL (SELECT kind FROM oban_workflow_groups WHERE key = up.group_key OFFSET 0) g
$$;
