-- Jobs that wait at the gates of groups, at any depth.
--
-- Called by: oban_workflow_reopen. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_gated_in(p_groups bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH RECURSIVE inner_members AS (
    SELECT
      id
    FROM
      unnest(p_groups) AS u(id)
    UNION ALL
    SELECT
      m.id
    FROM
      inner_members
      CROSS JOIN LATERAL (
        SELECT id FROM oban_workflow_members WHERE group_key = inner_members.id AND gated OFFSET 0
      ) m
    WHERE
      inner_members.id < 0
  )
  SELECT
    id
  FROM
    inner_members
  WHERE
    id > 0
$$;
