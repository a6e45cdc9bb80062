-- The groups whose lines may move up, now that the given members have changed: jobs, or grafts of items.
--
-- Called by: oban_workflow_count_first, with what was counted just now. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lines_of(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  RETURN QUERY
  SELECT DISTINCT
    l.limiter
  FROM
    oban_workflow_limiters(
      ARRAY(
        SELECT DISTINCT
          m.group_key
        FROM
          unnest(p_ids) AS i(id)
          CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = i.id OFFSET 0) m
      )
    ) l
    CROSS JOIN LATERAL (SELECT next_waiting FROM oban_workflow_groups WHERE key = l.limiter OFFSET 0) g
  WHERE
    g.next_waiting IS NOT NULL;
END;
$$;
