-- Remove signals and calls of await_signal whose jobs vanished unnoticed: with a partition of the table, or while a
-- signal was being sent. It looks at the oldest jobs only, because leftovers become the oldest in time.
--
-- A role from whom row level security hides jobs cannot tell which are gone, and removes nothing.
--
-- Called by: oban_workflow_prune_v1.
-- Locks: the rows that it removes.
-- Called twice: removes what is left.
CREATE OR REPLACE FUNCTION oban_workflow_prune_signals()
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  c_limit CONSTANT integer := 20;
  v_gone bigint[];
BEGIN
  IF row_security_active('oban_jobs') THEN
    RETURN;
  END IF;

  v_gone := ARRAY(
    SELECT
      s.job
    FROM
      (
        (SELECT job FROM oban_workflow_signals ORDER BY job LIMIT c_limit)
        UNION
        (SELECT job FROM oban_workflow_awaits ORDER BY job LIMIT c_limit)
      ) s
    WHERE
      NOT EXISTS (SELECT FROM oban_jobs WHERE id = s.job OFFSET 0)
      -- those of a workflow go when it is pruned
      AND NOT EXISTS (SELECT FROM oban_workflow_members WHERE id = s.job OFFSET 0)
  );

  DELETE FROM oban_workflow_signals WHERE job = ANY(v_gone);
  DELETE FROM oban_workflow_awaits WHERE job = ANY(v_gone);
END;
$$;
