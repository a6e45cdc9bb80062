-- Put jobs back to wait that somebody made runnable although their dependencies are not satisfied; returns
-- the ids of those.
--
-- Called by: oban_workflow_settle.
-- Locks: the rows of the jobs; the caller holds the root.
-- Twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_hold(p_ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_held bigint[];
BEGIN
  WITH held AS (
    UPDATE
      oban_jobs j
    SET
      state = 'suspended'
    FROM
      unnest(p_ids) AS u(id)
      CROSS JOIN LATERAL (
        SELECT id, group_key, pending, gated FROM oban_workflow_members WHERE id = u.id OFFSET 0
      ) m
    WHERE
      j.id = m.id
      AND (
        m.pending > 0
        OR m.gated AND (SELECT pending > 0 FROM oban_workflow_members WHERE id = m.group_key)
      )
    RETURNING
      j.id
  )
  SELECT
    array_agg(id)
  INTO
    v_held
  FROM
    held;

  RETURN v_held;
END;
$$;
