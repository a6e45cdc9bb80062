-- Count broken dependencies of joins as not broken any more, because they are open again.
--
-- p_ids are members that had settled, p_old how.
--
-- Called by: oban_workflow_reopen, in workflows with joins.
-- Locks: rows of joins; the caller holds the root.
-- Called twice: takes back twice.
CREATE OR REPLACE FUNCTION oban_workflow_mend_joins(p_ids bigint[], p_old text[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE
    oban_workflow_joins j
  SET
    broken = j.broken - d.mended
  FROM
    (
      SELECT
        m.id, count(*) AS mended
      FROM
        unnest(p_ids, p_old) AS w(id, old)
        CROSS JOIN LATERAL (
          SELECT downstream FROM oban_workflow_edges WHERE upstream = w.id OFFSET 0
        ) e
        CROSS JOIN LATERAL (
          SELECT id, ignore_cancelled, ignore_discarded FROM oban_workflow_members WHERE id = e.downstream OFFSET 0
        ) m
      WHERE
        oban_workflow_breaks_v1(w.old, m.ignore_cancelled, m.ignore_discarded)
      GROUP BY
        m.id
    ) d
  WHERE
    -- ANY: see PLANS.md
    j.id = ANY(ARRAY[d.id]);
END;
$$;
