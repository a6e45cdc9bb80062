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
    f.key,
    f.discarded + f.cancelled,
    f.tolerated,
    f.discarded + f.cancelled || ' of ' || f.members || ' failed, ' || f.tolerated
      || CASE WHEN f.tolerated = 1 THEN ' is' ELSE ' are' END || ' tolerated'
  FROM
    oban_workflow_count_failures(p_groups) f
  WHERE
    f.fails_fast
    AND f.discarded + f.cancelled > f.tolerated
$$;
