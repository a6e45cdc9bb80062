-- Put skipped dependencies back into their joins, as they are open again. Returns the joins that had more dependencies
-- than they needed, and how many skipped ones had therefore not counted as satisfied.
--
-- p_ids are members that had settled, p_old how.
--
-- Called by: oban_workflow_reopen, in workflows with joins and conditions.
-- Locks: rows of joins; the caller holds the root.
-- Called twice: takes back twice.
CREATE OR REPLACE FUNCTION oban_workflow_uncount_skipped(
  p_ids bigint[],
  p_old text[],
  OUT ids bigint[],
  OUT counts integer[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH skips AS (
    SELECT
      e.downstream AS id, count(*)::int AS count
    FROM
      unnest(p_ids, p_old) AS w(id, old)
      CROSS JOIN LATERAL (SELECT downstream FROM oban_workflow_edges WHERE upstream = w.id OFFSET 0) e
    WHERE
      w.old = 'skipped'
    GROUP BY
      e.downstream
  ),
  counted AS (
    UPDATE
      oban_workflow_joins j
    SET
      skipped = j.skipped - s.count
    FROM
      skips s
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[s.id])
    RETURNING
      j.id,
      GREATEST(j.deps - j.skipped - j.need, 0) - GREATEST(j.deps - j.skipped - s.count - j.need, 0) AS spared
  )
  SELECT
    array_agg(c.id), array_agg(c.spared)
  INTO
    ids, counts
  FROM
    counted c
  WHERE
    c.spared > 0;
END;
$$;
