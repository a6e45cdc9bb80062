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
  SELECT
    m.id
  FROM
    oban_workflow_gated_groups_in(p_groups) g
    CROSS JOIN LATERAL (
      SELECT id FROM oban_workflow_members WHERE group_key = g.key AND gated AND id > 0 OFFSET 0
    ) m
$$;
