-- The workflows with final jobs among some groups, and among those that some members are in, at any depth.
--
-- Called by: oban_workflow_end_bodies, oban_workflow_arm_finals. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_ends_around(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  RETURN QUERY
  WITH RECURSIVE around AS (
    (
      SELECT id AS key FROM unnest(p_ids) AS u(id) WHERE id < 0
      UNION
      SELECT group_key FROM oban_workflow_members WHERE id = ANY(p_ids)
    )
    UNION
    SELECT
      m.group_key
    FROM
      around
      CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = around.key OFFSET 0) m
  )
  SELECT
    e.group_key
  FROM
    around
    CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_ends WHERE group_key = around.key OFFSET 0) e;
END;
$$;
