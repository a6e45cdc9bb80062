-- What "pending" of each member should be, and what a job whose row is gone should count as, by the states of
-- their neighbours as they are stored. Of one root, or of all.
--
-- Called by: oban_workflow_audit, oban_workflow_repair. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_expected_members(p_root bigint)
RETURNS TABLE (id bigint, pending integer, expected integer, gone text, expected_gone text)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH members AS (
    SELECT
      m.*
    FROM
      oban_workflow_groups g
      JOIN oban_workflow_members m ON m.group_key = g.key
    WHERE
      p_root IS NULL
      OR g.root = p_root
  ),
  unsatisfied AS (
    SELECT
      m.id, count(*)::int AS count
    FROM
      members m
      JOIN oban_workflow_edges e ON e.downstream = m.id
      JOIN oban_workflow_members u ON u.id = e.upstream
      LEFT JOIN oban_workflow_groups g ON g.key = u.id
      LEFT JOIN oban_jobs j ON j.id = u.id
    WHERE
      NOT oban_workflow_satisfies(
        COALESCE(j.state::text, g.state, u.gone, 'deleted'), m.ignore_cancelled, m.ignore_discarded
      )
    GROUP BY
      m.id
  )
  SELECT
    m.id,
    m.pending,
    COALESCE(unsatisfied.count, 0) + (m.id < 0 AND m.gated AND gate.pending > 0)::int,
    m.gone,
    CASE WHEN m.id > 0 AND j.id IS NULL THEN COALESCE(m.gone, 'deleted') END
  FROM
    members m
    LEFT JOIN unsatisfied ON unsatisfied.id = m.id
    LEFT JOIN oban_workflow_members gate ON gate.id = m.group_key
    LEFT JOIN oban_jobs j ON j.id = m.id
$$;
