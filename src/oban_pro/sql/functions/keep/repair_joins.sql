-- Mend the counters of the joins of a root; returns how many rows it mended.
--
-- Called by: oban_workflow_repair_v1.
-- Locks: rows of joins; the caller holds the root.
-- Called twice: mends nothing.
CREATE OR REPLACE FUNCTION oban_workflow_repair_joins(p_root bigint)
RETURNS integer
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
  WITH mended AS (
    UPDATE
      oban_workflow_joins j
    SET
      deps = e.expected_deps,
      broken = e.expected_broken,
      skipped = e.expected_skipped
    FROM
      oban_workflow_expected_joins(p_root) e
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[e.id])
      AND (e.deps, e.broken, e.skipped) <> (e.expected_deps, e.expected_broken, e.expected_skipped)
    RETURNING
      j.id
  )
  SELECT count(*)::int FROM mended
$$;
