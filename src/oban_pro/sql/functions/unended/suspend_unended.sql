-- Suspend jobs again that somebody made runnable while an execution of theirs has not ended; returns their ids.
--
-- Called by: oban_workflow_apply_changes.
-- Locks: rows of oban_workflow_unended, after the rows of the jobs. Whoever ends an execution takes these locks in the same
-- order. So it finds the job suspended and releases it, or it has removed its row before this function looks for it.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_suspend_unended(p_ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_unended bigint[];
BEGIN
  SELECT
    array_agg(u.id)
  INTO
    v_unended
  FROM (
    SELECT
      id
    FROM
      oban_workflow_unended
    WHERE
      id = ANY(p_ids)
    ORDER BY
      id, attempted_at
    FOR KEY SHARE
  ) u;

  UPDATE
    oban_jobs
  SET
    state = 'suspended'
  WHERE
    id = ANY(v_unended);

  RETURN v_unended;
END;
$$;
