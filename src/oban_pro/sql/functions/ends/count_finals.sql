-- Count changes of final jobs, as oban_workflow_update_counters does in their groups; returns all that has changed.
--
-- Called by: oban_workflow_propagate and oban_workflow_reopen, beside that function.
-- Locks: rows of oban_workflow_ends; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_count_finals(p_ids bigint[], p_old text[], p_new text[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH finals AS MATERIALIZED (
    SELECT id, group_key FROM oban_workflow_finals WHERE id = ANY(p_ids)
  ),
  changes AS (
    SELECT
      f.group_key,
      count(*) FILTER (WHERE w.new IN ('completed', 'skipped'))
        - count(*) FILTER (WHERE w.old IN ('completed', 'skipped')) AS completed,
      count(*) FILTER (WHERE w.new IN ('cancelled', 'deleted')) - count(*) FILTER (WHERE w.old = 'cancelled') AS cancelled,
      count(*) FILTER (WHERE w.new = 'discarded') - count(*) FILTER (WHERE w.old = 'discarded') AS discarded
    FROM
      finals f
      JOIN unnest(p_ids, p_old, p_new) AS w(id, old, new) ON w.id = f.id
    GROUP BY
      f.group_key
  )
  UPDATE
    oban_workflow_ends e
  SET
    completed = e.completed + c.completed,
    cancelled = e.cancelled + c.cancelled,
    discarded = e.discarded + c.discarded
  FROM
    changes c
  WHERE
    -- ANY: see PLANS.md
    e.group_key = ANY(ARRAY[c.group_key]);

  RETURN p_ids;
END;
$$;
