-- The grafts whose grafters are among some jobs that run again, and graft anew: those that had completed, and those that
-- depend on something that runs again. Only grafts to which something was grafted.
--
-- Called by: oban_workflow_retry_v1, oban_workflow_rerun_v1. Locks nothing; the caller holds the root.
CREATE OR REPLACE FUNCTION oban_workflow_regrafted(p_jobs bigint[], p_follow boolean[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    g.key
  FROM
    unnest(p_jobs, p_follow) AS r(id, follows)
    CROSS JOIN LATERAL (
      SELECT group_key FROM oban_workflow_members WHERE id = r.id AND name = 'grafter' OFFSET 0
    ) m
    CROSS JOIN LATERAL (
      SELECT key FROM oban_workflow_groups WHERE key = m.group_key AND kind = 'graft' AND subs > 0 OFFSET 0
    ) g
    CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = r.id OFFSET 0) j
  WHERE
    j.state = 'completed'
    OR r.follows
$$;
