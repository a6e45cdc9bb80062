-- How many direct members of groups with a tolerance have failed, how many members there are, how many failures the group
-- tolerates, and whether it fails fast. What was deleted before it settled counts as cancelled.
--
-- Called by: oban_workflow_crossed, oban_workflow_failures_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_count_failures(p_groups bigint[])
RETURNS TABLE (key bigint, discarded integer, cancelled integer, members integer, tolerated integer, fails_fast boolean)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    g.key,
    g.discarded + g.subs_discarded,
    g.cancelled + g.subs_cancelled,
    -- a judge is in no share
    g.total + g.subs - (SELECT count(*) FROM oban_workflow_edges e WHERE e.downstream = g.key AND e.judges)::integer,
    oban_workflow_tolerated(g.tolerates, g.total + g.subs),
    g.fail_fast IS TRUE
  FROM
    oban_workflow_groups g
  WHERE
    g.key = ANY(p_groups)
    AND g.tolerates IS NOT NULL
$$;
