-- Whether something that a group depends on, or that the group around it depends on where it is gated,
-- can no longer be satisfied.
--
-- Called by: oban_workflow_reopen, for empty groups whose dependency was retried. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_gate_broken(p_group bigint)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH RECURSIVE gates AS (
    SELECT
      m.*
    FROM
      oban_workflow_members m
    WHERE
      m.id = p_group
    UNION ALL
    SELECT
      m.*
    FROM
      gates
      JOIN oban_workflow_members m ON m.id = gates.group_key
    WHERE
      gates.gated
  )
  SELECT
    EXISTS (
      SELECT
      FROM
        gates
        JOIN oban_workflow_edges e ON e.downstream = gates.id
        JOIN oban_workflow_members u ON u.id = e.upstream
        LEFT JOIN oban_jobs j ON j.id = u.id
        LEFT JOIN oban_workflow_groups g ON g.key = u.id
      WHERE
        oban_workflow_breaks(COALESCE(u.gone, g.state, j.state::text), gates.ignore_cancelled, gates.ignore_discarded)
    )
$$;
