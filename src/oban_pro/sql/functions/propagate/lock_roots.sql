-- Lock the root workflows that the given jobs belong to. Returns the rare rules that one of them uses, as bits; NULL
-- if none of the jobs is in a workflow.
--
-- Called by: everything that changes a workflow, before its first write where it can (our ack), else
-- from the trigger.
-- Locks: the rows of the roots in oban_workflow_groups, ascending. That lock is the mutex of a root:
-- whoever holds it is alone with the bookkeeping of that workflow and all that is nested in it. Row
-- locks take no shared memory, so a statement may touch a hundred thousand workflows. See
-- oban_workflow_lock_unchanged for transactions above READ COMMITTED.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_roots(p_jobs bigint[])
RETURNS smallint
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_rules smallint;
BEGIN
  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    PERFORM oban_workflow_lock_unchanged(ARRAY(
      SELECT
        g.root
      FROM
        unnest(p_jobs) AS j(id)
        JOIN oban_workflow_members m ON m.id = j.id
        JOIN oban_workflow_groups g ON g.key = m.group_key
    ));
  END IF;

  SELECT
    bit_or(COALESCE(r.rules, 0::smallint))
  INTO
    v_rules
  FROM (
    SELECT
      rules
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
              (SELECT group_key FROM oban_workflow_members WHERE id = ANY(p_jobs) OFFSET 0) m
          ) m
          CROSS JOIN LATERAL (SELECT root FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) g
      ))
    ORDER BY
      key
    FOR NO KEY UPDATE
  ) r;

  RETURN v_rules;
END;
$$;
