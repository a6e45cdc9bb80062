-- Resume a workflow, or one of its members, that is paused. Returns how many jobs may start again by it; a pause of a group
-- around or inside it goes on.
--
-- Called by: handles.
-- Locks: the root first, then the jobs, as oban_workflow_cancel_v3 does.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_resume_v1(p_id text, p_path text)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_target bigint := oban_workflow_lock_target(p_id, p_path);
BEGIN
  PERFORM set_config('lock_timeout', '25ms', true);

  RETURN oban_workflow_resume_members((SELECT root FROM oban_workflow_groups WHERE id = p_id), ARRAY[v_target]);
END;
$$;
