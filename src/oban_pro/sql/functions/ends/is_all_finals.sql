-- Whether a workflow with p_members jobs has nothing but final jobs.
--
-- Called by: oban_workflow_group_was_skipped_v2, of workflows in which something was skipped. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_is_all_finals(p_key bigint, p_members integer)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT EXISTS (SELECT FROM oban_workflow_ends WHERE group_key = p_key AND finals = p_members)
$$;
