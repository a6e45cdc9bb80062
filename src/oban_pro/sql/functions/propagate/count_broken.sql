-- Count dependencies that broke in the joins that depend on them, and return which members break: those that are no joins,
-- and joins that lack what they need. The error of a join says how that came about.
--
-- p_ids are members, ascending, p_causes what broke each, p_counts how many of its dependencies broke just now.
--
-- Called by: oban_workflow_break_members, in workflows with joins.
-- Locks: rows of joins; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_count_broken(
  p_ids bigint[],
  p_causes bigint[],
  p_counts integer[],
  OUT ids bigint[],
  OUT causes bigint[],
  OUT notes text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH counted AS (
    UPDATE
      oban_workflow_joins j
    SET
      broken = j.broken + b.count
    FROM
      unnest(p_ids, p_counts) AS b(id, count)
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[b.id])
    RETURNING
      j.*
  )
  SELECT
    array_agg(b.id ORDER BY b.id),
    array_agg(b.cause ORDER BY b.id),
    array_agg(oban_workflow_join_note(c.need, c.deps, c.skipped, c.broken) ORDER BY b.id)
  INTO
    ids, causes, notes
  FROM
    unnest(p_ids, p_causes) AS b(id, cause)
    LEFT JOIN counted c ON c.id = b.id
  WHERE
    c.id IS NULL
    OR c.broken > GREATEST(c.deps - c.skipped - c.need, 0);
END;
$$;
