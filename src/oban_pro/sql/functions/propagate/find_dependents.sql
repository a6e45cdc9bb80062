-- Find the dependents of members that have settled: how many dependencies of each are satisfied now, and which
-- dependents break, each with the first member that broke it and the number of members that did.
--
-- p_ids are jobs and groups, p_new how they have settled ('deleted' for a row that is gone).
--
-- Called by: oban_workflow_propagate, whose settings of the planner it runs with. Locks nothing but rows of
-- joins: see oban_workflow_count_skipped, which takes out of joins what was skipped of them.
CREATE OR REPLACE FUNCTION oban_workflow_find_dependents(
  p_ids bigint[],
  p_new text[],
  p_rules smallint,
  OUT satisfied_ids bigint[],
  OUT satisfied_counts integer[],
  OUT broken_ids bigint[],
  OUT broken_causes bigint[],
  OUT broken_counts integer[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  SELECT
    array_agg(d.id ORDER BY d.id) FILTER (WHERE d.satisfied > 0),
    array_agg(d.satisfied ORDER BY d.id) FILTER (WHERE d.satisfied > 0),
    array_agg(d.id ORDER BY d.id) FILTER (WHERE d.cause IS NOT NULL),
    array_agg(d.cause ORDER BY d.id) FILTER (WHERE d.cause IS NOT NULL),
    array_agg(d.broken ORDER BY d.id) FILTER (WHERE d.cause IS NOT NULL)
  INTO
    satisfied_ids, satisfied_counts, broken_ids, broken_causes, broken_counts
  FROM (
    SELECT
      m.id,
      count(*) FILTER (
        WHERE oban_workflow_satisfies_v1(s.new, m.ignore_cancelled, m.ignore_discarded)
      )::int AS satisfied,
      min(e.upstream) FILTER (
        WHERE oban_workflow_breaks_v1(s.new, m.ignore_cancelled, m.ignore_discarded)
      ) AS cause,
      count(*) FILTER (
        WHERE oban_workflow_breaks_v1(s.new, m.ignore_cancelled, m.ignore_discarded)
      )::int AS broken
    FROM
      -- all that settled alike are looked up by one condition of the index
      (SELECT w.new, array_agg(w.id) AS ids FROM unnest(p_ids, p_new) AS w(id, new) GROUP BY w.new) s
      CROSS JOIN LATERAL (
        SELECT upstream, downstream FROM oban_workflow_edges WHERE upstream = ANY(s.ids) OFFSET 0
      ) e
      CROSS JOIN LATERAL (
        SELECT id, ignore_cancelled, ignore_discarded FROM oban_workflow_members WHERE id = e.downstream OFFSET 0
      ) m
    GROUP BY
      m.id
  ) d;

  IF p_rules & 6 = 6 THEN
    SELECT
      c.*
    INTO
      satisfied_ids, satisfied_counts, broken_ids, broken_causes, broken_counts
    FROM
      oban_workflow_count_skipped(
        p_ids, p_new, satisfied_ids, satisfied_counts, broken_ids, broken_causes, broken_counts
      ) c;
  END IF;
END;
$$;
