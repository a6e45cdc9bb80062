-- As oban_workflow_break_jobs_v2, by a node that does not tell what broke them.
--
-- Called by: nodes of older releases. Locks and twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_break_jobs_v1(p_ids bigint[], p_causes text[])
RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
  SELECT oban_workflow_break_jobs_v2(p_ids, array_fill(0::bigint, ARRAY[cardinality(p_ids)]), p_causes)
$$;
