-- Take skipped dependencies out of joins: of the other dependencies the same number is needed, or all if there are
-- fewer. So a skipped dependency does not count as satisfied while more dependencies are left than are needed, and
-- skipping may break a join. Returns the findings of oban_workflow_find_dependents, corrected.
--
-- p_ids are members that have settled, p_new how; the others are what was found of their dependents.
--
-- Called by: oban_workflow_find_dependents, in workflows with joins and conditions.
-- Locks: rows of joins; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_count_skipped(
  p_ids bigint[],
  p_new text[],
  INOUT satisfied_ids bigint[],
  INOUT satisfied_counts integer[],
  INOUT broken_ids bigint[],
  INOUT broken_causes bigint[],
  INOUT broken_counts integer[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_joins bigint[];
  v_spared integer[];
  v_breaking bigint[];
  v_causes bigint[];
BEGIN
  WITH skips AS (
    SELECT
      e.downstream AS id, count(*)::int AS count, min(w.id) AS cause
    FROM
      unnest(p_ids, p_new) AS w(id, new)
      CROSS JOIN LATERAL (SELECT downstream FROM oban_workflow_edges WHERE upstream = w.id OFFSET 0) e
    WHERE
      w.new = 'skipped'
    GROUP BY
      e.downstream
  ),
  counted AS (
    UPDATE
      oban_workflow_joins j
    SET
      skipped = j.skipped + s.count
    FROM
      skips s
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[s.id])
    RETURNING
      j.id,
      s.cause,
      j.broken,
      GREATEST(j.deps - j.skipped - j.need, 0) AS spare,
      GREATEST(j.deps - j.skipped + s.count - j.need, 0) AS spare_before
  )
  SELECT
    array_agg(c.id) FILTER (WHERE c.spare_before > c.spare),
    array_agg(c.spare_before - c.spare) FILTER (WHERE c.spare_before > c.spare),
    array_agg(c.id) FILTER (WHERE c.broken > c.spare AND c.broken <= c.spare_before),
    array_agg(c.cause) FILTER (WHERE c.broken > c.spare AND c.broken <= c.spare_before)
  INTO
    v_joins, v_spared, v_breaking, v_causes
  FROM
    counted c;

  IF v_joins IS NOT NULL THEN
    satisfied_counts := ARRAY(
      SELECT
        d.count - COALESCE(s.count, 0)
      FROM
        unnest(satisfied_ids, satisfied_counts) WITH ORDINALITY AS d(id, count, n)
        LEFT JOIN unnest(v_joins, v_spared) AS s(id, count) ON s.id = d.id
      ORDER BY
        d.n
    );
  END IF;

  IF v_breaking IS NOT NULL THEN
    SELECT
      array_agg(b.id ORDER BY b.id), array_agg(b.cause ORDER BY b.id), array_agg(b.count ORDER BY b.id)
    INTO
      broken_ids, broken_causes, broken_counts
    FROM (
      SELECT
        *
      FROM
        unnest(broken_ids, broken_causes, broken_counts) AS b(id, cause, count)
      UNION ALL
      SELECT
        s.id, s.cause, 0
      FROM
        unnest(v_breaking, v_causes) AS s(id, cause)
      WHERE
        (s.id = ANY(broken_ids)) IS NOT TRUE
    ) b;
  END IF;
END;
$$;
