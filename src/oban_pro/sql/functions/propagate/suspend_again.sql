-- Suspend jobs again that somebody made runnable although their dependencies are not satisfied; returns their ids. The
-- same goes for waits, for jobs that follow an execution which has not ended, for paused jobs, for jobs that have to
-- line up for a slot, and for final jobs, which are judged again. p_rules are the rare rules of the roots.
--
-- Called by: oban_workflow_apply_changes.
-- Locks: the rows of the jobs; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_suspend_again(p_ids bigint[], p_rules smallint)
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_held bigint[] := '{}';
BEGIN
  IF p_rules & 1 > 0 THEN
    v_held := ARRAY(SELECT id FROM oban_workflow_waits WHERE id = ANY(p_ids));
  END IF;

  IF p_rules & 128 > 0 THEN
    v_held := v_held || ARRAY(SELECT oban_workflow_unready(p_ids));
  END IF;

  IF p_rules & 1024 > 0 THEN
    v_held := v_held || ARRAY(SELECT oban_workflow_queued(p_ids));
  END IF;

  IF p_rules & 64 > 0 THEN
    v_held := v_held || ARRAY(SELECT oban_workflow_paused(p_ids));
  END IF;

  IF p_rules & 32 > 0 THEN
    v_held := v_held || ARRAY(
      SELECT
        m.id
      FROM
        oban_workflow_members m
        JOIN oban_workflow_limiters(ARRAY(SELECT group_key FROM oban_workflow_members WHERE id = ANY(p_ids))) l
          ON l.key = m.group_key
      WHERE
        m.id = ANY(p_ids)
        AND m.id IS DISTINCT FROM l.judge
    );
  END IF;

  IF p_rules & 16 > 0 THEN
    v_held := v_held || ARRAY(SELECT id FROM oban_workflow_finals WHERE id = ANY(p_ids));
  END IF;

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
        OR m.id = ANY(v_held)
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
