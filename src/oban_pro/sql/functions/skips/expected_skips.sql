-- Which groups of one root, or of all, skip what waits at their gates, by what is stored of their neighbours: those whose
-- gates are open and depend on nothing that was not skipped. A group whose judge is gone keeps what is stored.
--
-- Called by: oban_workflow_expected_groups. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_expected_skips(p_root bigint)
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_open bigint[];
BEGIN
  v_open := ARRAY(
    SELECT
      g.key
    FROM
      oban_workflow_groups g
      JOIN oban_workflow_groups root ON root.key = g.root
      JOIN oban_workflow_members m ON m.id = g.key
    WHERE
      (p_root IS NULL OR g.root = p_root)
      AND root.rules & 4 > 0
      AND m.pending <= 0
  );

  RETURN QUERY
  SELECT
    s.id
  FROM
    oban_workflow_all_skipped(v_open) s
  UNION
  SELECT
    m.id
  FROM
    oban_workflow_members m
    JOIN oban_workflow_groups around ON around.key = m.group_key
  WHERE
    m.id = ANY(v_open)
    AND m.gated
    AND around.skips
  UNION
  SELECT
    e.downstream
  FROM
    oban_workflow_edges e
    JOIN oban_workflow_groups g ON g.key = e.downstream
  WHERE
    e.downstream = ANY(v_open)
    AND e.judges
    AND g.skips
    AND NOT EXISTS (SELECT FROM oban_jobs WHERE id = e.upstream);
END;
$$;
