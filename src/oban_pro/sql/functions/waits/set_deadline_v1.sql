-- Set the deadline of a workflow, or of one of its members: p_seconds from now, or p_moment. If both are NULL, the
-- deadline is taken away.
--
-- p_error is what the errors of its jobs say when it comes.
--
-- Called by: handles.
-- Locks: the root, then a row of timers.
-- Called twice: sets it again.
CREATE OR REPLACE FUNCTION oban_workflow_set_deadline_v1(
  p_id text,
  p_path text,
  p_seconds double precision,
  p_moment timestamp,
  p_error text
)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_target bigint := oban_workflow_lock_target(p_id, p_path);
  v_root bigint := (SELECT root FROM oban_workflow_groups WHERE id = p_id);
BEGIN
  IF p_error IS NULL THEN
    DELETE FROM oban_workflow_timers WHERE target = v_target AND kind IN ('deadline', 'inner');
    RETURN;
  END IF;

  UPDATE oban_workflow_groups SET rules = COALESCE(rules, 0) | 8 WHERE key = v_root AND COALESCE(rules, 0) & 8 = 0;

  DELETE FROM oban_workflow_timers WHERE target = v_target AND kind = 'inner';

  INSERT INTO oban_workflow_timers AS t (target, kind, root, due, error)
  VALUES (
    v_target,
    'deadline',
    v_root,
    COALESCE(p_moment, timezone('UTC', clock_timestamp()) + make_interval(secs => p_seconds)),
    p_error
  )
  ON CONFLICT ON CONSTRAINT oban_workflow_timers_pkey DO UPDATE
  SET
    lasts = NULL, moment = NULL, due = excluded.due, error = excluded.error;
END;
$$;
