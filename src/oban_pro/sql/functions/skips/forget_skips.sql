-- Forget that groups skip the members behind their gates: groups whose gates have closed, and gated groups in them.
--
-- Called by: oban_workflow_reopen.
-- Locks: rows of groups; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_forget_skips(p_closed bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE
    oban_workflow_groups g
  SET
    skips = NULL
  WHERE
    g.key = ANY(ARRAY(SELECT c.key FROM oban_workflow_gated_groups_in(p_closed) c))
    AND g.skips;
END;
$$;
