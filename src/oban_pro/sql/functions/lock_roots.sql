-- Lock the root workflows that the given jobs belong to, and tell whether there are any.
--
-- Called by: everything that changes a workflow, before its first write where it can (our ack), else
-- from the trigger.
-- Locks: the rows of the roots in oban_workflow_groups, ascending. That lock is the mutex of a root:
-- whoever holds it is alone with the bookkeeping of that workflow and all that is nested in it. Row
-- locks take no shared memory, so a statement may touch a hundred thousand workflows.
-- Twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_roots(p_jobs bigint[])
RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  PERFORM
  FROM
    oban_workflow_groups
  WHERE
    key = ANY(ARRAY(
      SELECT DISTINCT
        g.root
      FROM
        (
          SELECT DISTINCT
            m.group_key
          FROM
            unnest(p_jobs) AS j(id)
            CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = j.id OFFSET 0) m
        ) m
        CROSS JOIN LATERAL (SELECT root FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) g
    ))
  ORDER BY
    key
  FOR NO KEY UPDATE;

  RETURN FOUND;
END;
$$;
