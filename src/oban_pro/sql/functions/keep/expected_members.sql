-- What "pending" of each member should be, and the state that a job without a row should count as, computed from the
-- stored states of their neighbours. For one root, or for all.
--
-- If a row vanished without a trigger seeing it, nobody knows how its job ended ('unknown'). Then "pending" of a
-- dependent may be any number that such upstream jobs can account for. The job counts as completed if the counters of
-- its group leave no other possibility, and no dependent still waits for it.
--
-- Called by: oban_workflow_audit_v1, oban_workflow_repair_v1. Locks nothing. One root and all of them
-- need plans of their own.
CREATE OR REPLACE FUNCTION oban_workflow_expected_members(p_root bigint)
RETURNS TABLE (id bigint, pending integer, expected integer, gone text, expected_gone text)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH members AS (
    SELECT
      m.*,
      -- NULL where it is unknown
      COALESCE(j.state::text, nested.state, m.gone) AS state,
      m.id > 0 AND j.id IS NULL AS is_gone,
      (m.id < 0 AND m.gated AND gate.pending > 0)::int + (f.id IS NOT NULL AND e.outcome IS NULL)::int AS closed,
      -- dependencies that a join does without
      COALESCE(GREATEST(jn.deps - jn.skipped - jn.need, 0), 0) AS spare
    FROM
      oban_workflow_groups g
      JOIN oban_workflow_members m ON m.group_key = g.key
      LEFT JOIN oban_workflow_members gate ON gate.id = g.key
      LEFT JOIN oban_workflow_groups nested ON nested.key = m.id
      LEFT JOIN oban_jobs j ON j.id = m.id
      LEFT JOIN oban_workflow_joins jn ON jn.id = m.id
      LEFT JOIN oban_workflow_finals f ON f.id = m.id
      LEFT JOIN oban_workflow_ends e ON e.group_key = f.group_key
    WHERE
      p_root IS NULL
      OR g.root = p_root
  ),
  upstream AS (
    SELECT
      m.id,
      (
        count(*) FILTER (
          WHERE NOT oban_workflow_satisfies_v1(u.state, m.ignore_cancelled, m.ignore_discarded)
        ) - m.spare
      )::int AS unsatisfied,
      (count(*) FILTER (WHERE u.state IS NULL))::int AS unknown
    FROM
      members m
      JOIN oban_workflow_edges e ON e.downstream = m.id
      JOIN members u ON u.id = e.upstream
    GROUP BY
      m.id, m.spare
  ),
  completed AS (
    SELECT
      m.group_key
    FROM
      members m
      JOIN oban_workflow_groups g ON g.key = m.group_key
    WHERE
      m.id > 0
    GROUP BY
      m.group_key, g.completed, g.cancelled, g.discarded
    HAVING
      count(*) FILTER (WHERE m.state IN ('completed', 'skipped') OR m.state IS NULL) = g.completed
      AND count(*) FILTER (WHERE m.state IN ('cancelled', 'deleted')) = g.cancelled
      AND count(*) FILTER (WHERE m.state = 'discarded') = g.discarded
  ),
  awaited AS (
    SELECT
      e.upstream AS id
    FROM
      members m
      JOIN upstream u ON u.id = m.id
      JOIN oban_workflow_edges e ON e.downstream = m.id
    WHERE
      u.unknown > 0
      AND m.pending - m.closed > u.unsatisfied
  )
  SELECT
    m.id,
    m.pending,
    m.closed + GREATEST(
      COALESCE(u.unsatisfied, 0), LEAST(m.pending - m.closed, COALESCE(u.unsatisfied + u.unknown, 0))
    ),
    m.gone,
    CASE
      WHEN NOT m.is_gone THEN NULL
      WHEN m.gone IS NOT NULL THEN m.gone
      WHEN m.group_key IN (SELECT group_key FROM completed) AND m.id NOT IN (SELECT id FROM awaited) THEN 'completed'
      ELSE 'unknown'
    END
  FROM
    members m
    LEFT JOIN upstream u ON u.id = m.id;
END;
$$;
