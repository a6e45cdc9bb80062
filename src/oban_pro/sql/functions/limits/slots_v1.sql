-- How many slots there are in fan-outs with a limit, in all workflows that are open: those that members hold, and those
-- that are free. It reads the groups of open workflows with limits.
--
-- Called by: the query of numbers for operators. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_slots_v1(OUT taken bigint, OUT free bigint)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    COALESCE(sum(f.open), 0), COALESCE(sum(GREATEST(g.max_open - f.open, 0)), 0)
  FROM
    (
      SELECT
        key
      FROM
        oban_workflow_groups
      WHERE
        parent IS NULL
        AND state = 'executing'
        AND rules & 32 > 0
      OFFSET
        0
    ) r
    CROSS JOIN LATERAL (
      SELECT
        key, max_open
      FROM
        oban_workflow_groups
      WHERE
        root = r.key
        AND max_open IS NOT NULL
        AND state = 'executing'
      OFFSET
        0
    ) g
    CROSS JOIN LATERAL oban_workflow_count_free_slots(g.key, timezone('UTC', now())::timestamp) f
$$;
