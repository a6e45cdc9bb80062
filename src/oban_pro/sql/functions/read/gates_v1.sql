-- The members whose dependencies a member waits for: itself, and while it waits at the gate of its group, the group, and so
-- on to the groups around it.
--
-- p_id is a job, or the key of a group.
--
-- Called by: queries that look at what members depend on; oban_workflow_gate_broken. Locks nothing. OFFSET 0: see PLANS.md.
CREATE OR REPLACE FUNCTION oban_workflow_gates_v1(p_id bigint)
RETURNS SETOF bigint
LANGUAGE sql
STABLE
ROWS 2
SET search_path FROM CURRENT
AS $$
  WITH RECURSIVE gates AS (
    SELECT
      m.id, m.group_key, m.gated
    FROM
      oban_workflow_members m
    WHERE
      m.id = p_id
    UNION ALL
    SELECT
      m.id, m.group_key, m.gated
    FROM
      gates
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = gates.group_key OFFSET 0) m
    WHERE
      gates.gated
  )
  SELECT id FROM gates
$$;
