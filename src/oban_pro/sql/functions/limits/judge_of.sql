-- The job that judges a group; NULL if it has none.
--
-- Called by: oban_workflow_limiters, oban_workflow_count_free_slots, oban_workflow_waiting_in_line. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_judge_of(p_group bigint)
RETURNS bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    e.upstream
  FROM
    (SELECT FROM oban_workflow_groups WHERE key = p_group AND judged IS NOT NULL OFFSET 0) g
    CROSS JOIN LATERAL (SELECT upstream, judges FROM oban_workflow_edges WHERE downstream = p_group OFFSET 0) e
  WHERE
    e.judges
$$;
