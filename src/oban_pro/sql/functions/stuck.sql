-- Suspended jobs that nobody would ever move: nothing is pending for them, or something they depend on broke
-- and they were not cancelled. One that was retried while its dependency stays broken waits on purpose.
--
-- Called by: oban_workflow_audit, oban_workflow_repair. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_stuck(p_root bigint)
RETURNS TABLE (id bigint, cause text)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH waiting AS (
    SELECT
      m.*, m.pending = 0 AND (NOT m.gated OR gate.pending = 0) AS is_ready
    FROM
      oban_workflow_groups g
      JOIN oban_workflow_members m ON m.group_key = g.key
      JOIN oban_jobs j ON j.id = m.id
      LEFT JOIN oban_workflow_members gate ON gate.id = g.key
    WHERE
      (p_root IS NULL OR g.root = p_root)
      AND j.state = 'suspended'
      AND (
        (m.pending = 0 AND (NOT m.gated OR gate.pending = 0))
        OR (j.attempt = 0 AND to_jsonb(j.errors) = '[]')
      )
  )
  SELECT
    w.id, NULL
  FROM
    waiting w
  WHERE
    w.is_ready
  UNION ALL
  SELECT
    w.id, min(oban_workflow_describe(u.id) || ' was ' || COALESCE(j.state::text, g.state, u.gone))
  FROM
    waiting w
    JOIN oban_workflow_edges e ON e.downstream = w.id OR (w.gated AND e.downstream = w.group_key)
    JOIN oban_workflow_members u ON u.id = e.upstream
    LEFT JOIN oban_workflow_groups g ON g.key = u.id
    LEFT JOIN oban_jobs j ON j.id = u.id
  WHERE
    NOT w.is_ready
    AND oban_workflow_breaks(COALESCE(j.state::text, g.state, u.gone), w.ignore_cancelled, w.ignore_discarded)
  GROUP BY
    w.id
$$;
