-- Jobs that follow executions which have not ended although their jobs were stopped from outside. The dependents of such a
-- job, or of a group around it, follow. If one of them has settled without having run (it was cancelled too, or is an empty
-- group), its dependents follow as well. So do the jobs that plan the undo of a workflow around such a job.
--
-- It walks down from the few executions, not up from the jobs.
--
-- Called by: oban_workflow_behind_unended, oban_workflow_followed_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_behind_jobs(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH RECURSIVE walk AS (
    -- role: 'before' for executions, and the groups around them; 'after' for what follows
    SELECT
      u.id, 'before' AS role
    FROM
      unnest(p_ids) AS u(id)
    UNION
    SELECT
      next.id, next.role
    FROM
      walk
      CROSS JOIN LATERAL (
        SELECT
          walk.role = 'before'
            OR EXISTS (SELECT FROM oban_jobs WHERE id = walk.id AND state IN ('cancelled', 'discarded'))
            OR EXISTS (SELECT FROM oban_workflow_members WHERE id = walk.id AND gone NOT IN ('completed', 'skipped'))
            OR EXISTS (SELECT FROM oban_workflow_groups WHERE key = walk.id AND total + subs = 0) AS passes
      ) w
      CROSS JOIN LATERAL (
        SELECT
          group_key AS id, 'before' AS role
        FROM
          oban_workflow_members
        WHERE
          id = walk.id
          AND w.passes
        UNION ALL
        SELECT
          downstream, 'after'
        FROM
          oban_workflow_edges
        WHERE
          upstream = walk.id
          AND w.passes
        UNION ALL
        SELECT
          id, 'after'
        FROM
          oban_workflow_members
        WHERE
          group_key = walk.id
          AND walk.role = 'after'
          AND gated
        UNION ALL
        SELECT
          m.id, 'after'
        FROM
          (SELECT undo FROM oban_workflow_ends WHERE group_key = walk.id AND undo < 0 OFFSET 0) e
          CROSS JOIN LATERAL (SELECT id FROM oban_workflow_members WHERE group_key = e.undo AND id > 0 OFFSET 0) m
        WHERE
          walk.role = 'before'
      ) next
  )
  SELECT
    id
  FROM
    walk
  WHERE
    role = 'after'
    AND id > 0
$$;
