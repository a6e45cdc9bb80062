-- Which of some groups fail fast and have more failures than they tolerate: how many they have, how many they tolerate, and
-- what the errors of jobs say that are cancelled for it.
--
-- Called by: oban_workflow_fail_fast, oban_workflow_cut_short. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_crossed(p_groups bigint[])
RETURNS TABLE (key bigint, failed integer, tolerated integer, error text)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    g.key,
    g.failed,
    g.tolerated,
    g.failed || ' of ' || g.members || ' failed, ' || g.tolerated || CASE WHEN g.tolerated = 1 THEN ' is' ELSE ' are' END
      || ' tolerated'
  FROM
    (
      SELECT
        o.key,
        -- a judge is in no share
        o.total + o.subs - (SELECT count(*) FROM oban_workflow_edges e WHERE e.downstream = o.key AND e.judges)::integer
          AS members,
        o.cancelled + o.discarded + o.subs_cancelled + o.subs_discarded AS failed,
        oban_workflow_tolerated(o.tolerates, o.total + o.subs) AS tolerated
      FROM
        oban_workflow_groups o
      WHERE
        o.key = ANY(p_groups)
        AND o.fail_fast
    ) g
  WHERE
    g.failed > g.tolerated
$$;
