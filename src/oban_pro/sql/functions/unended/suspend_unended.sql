-- Put jobs back to wait that somebody made runnable while an execution of theirs has not ended; returns the ids of
-- those.
--
-- Called by: oban_workflow_apply_changes.
-- Locks: rows of oban_workflow_unended after those of the jobs, as whoever ends an execution does; so either the job
-- is suspended before that end is looked for, or the execution has ended and the job goes on.
-- Twice: changes nothing.
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
