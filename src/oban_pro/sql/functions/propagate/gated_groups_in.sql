-- Some groups, and the gated groups in them, at any depth: a gate in a group that has not opened is closed as well.
--
-- Called by: oban_workflow_reopen_empty, oban_workflow_forget_skips, oban_workflow_gated_in, oban_workflow_is_gated_final.
-- Locks nothing. It is inlined, as oban_workflow_groups_in_v1 is. OFFSET 0: see PLANS.md.
CREATE OR REPLACE FUNCTION oban_workflow_gated_groups_in(p_groups bigint[])
RETURNS TABLE (key bigint)
LANGUAGE sql
STABLE
BEGIN ATOMIC
  WITH RECURSIVE closed AS (
    SELECT
      u.key
    FROM
      unnest(p_groups) AS u(key)
    UNION
    SELECT
      m.id
    FROM
      closed
      CROSS JOIN LATERAL (
        SELECT id FROM oban_workflow_members WHERE group_key = closed.key AND gated AND id < 0 OFFSET 0
      ) m
  )
  SELECT
    closed.key
  FROM
    closed;
END;
