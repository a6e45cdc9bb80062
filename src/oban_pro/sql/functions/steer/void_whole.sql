-- Void the tolerances of open groups that are cancelled as a whole, or are inside of such a group.
--
-- p_groups are the groups that are cancelled, with all that is in them.
--
-- Called by: oban_workflow_cancel_v3 and oban_workflow_expire, before they cancel the jobs.
-- Locks: rows of groups; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_void_whole(p_groups bigint[])
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
    voided = true
  WHERE
    g.key = ANY(ARRAY(SELECT t.key FROM unnest(p_groups) AS u(key) CROSS JOIN LATERAL oban_workflow_groups_in_v1(u.key) t))
    AND g.tolerates IS NOT NULL
    AND g.state = 'executing'
    AND g.voided IS NULL;
END;
$$;
