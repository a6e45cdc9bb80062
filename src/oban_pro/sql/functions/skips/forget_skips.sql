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
  WITH RECURSIVE closed AS (
    SELECT
      u.id
    FROM
      unnest(p_closed) AS u(id)
    UNION ALL
    SELECT
      m.id
    FROM
      closed
      -- OFFSET 0: see PLANS.md
      CROSS JOIN LATERAL (
        SELECT id FROM oban_workflow_members WHERE group_key = closed.id AND gated AND id < 0 OFFSET 0
      ) m
  )
  UPDATE
    oban_workflow_groups g
  SET
    skips = NULL
  WHERE
    g.key = ANY(ARRAY(SELECT id FROM closed))
    AND g.skips;
END;
$$;
