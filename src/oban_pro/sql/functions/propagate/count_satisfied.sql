-- Count dependencies of members that are satisfied; returns the jobs and groups that nothing is pending for any more.
--
-- p_ids are members, p_counts how many of the dependencies of each were satisfied just now.
--
-- Called by: oban_workflow_propagate, whose settings of the planner it runs with.
-- Locks: rows of members; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_count_satisfied(
  p_ids bigint[],
  p_counts integer[],
  OUT jobs bigint[],
  OUT groups bigint[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  WITH counted AS (
    UPDATE
      oban_workflow_members m
    SET
      pending = m.pending - d.satisfied
    FROM
      unnest(p_ids, p_counts) AS d(id, satisfied)
    WHERE
      -- ANY: see PLANS.md
      m.id = ANY(ARRAY[d.id])
    RETURNING
      m.id, m.pending, d.satisfied
  )
  SELECT
    array_agg(c.id) FILTER (WHERE c.id > 0),
    array_agg(c.id) FILTER (WHERE c.id < 0)
  INTO
    jobs, groups
  FROM
    counted c
  WHERE
    -- a join may have had what it needs before
    c.pending <= 0
    AND c.pending + c.satisfied > 0;
END;
$$;
