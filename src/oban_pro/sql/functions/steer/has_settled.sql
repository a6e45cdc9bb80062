-- Whether a job or a group has settled. A job whose row is gone has.
--
-- Called by: oban_workflow_pause_v1. Locks nothing; the caller holds the root.
CREATE OR REPLACE FUNCTION oban_workflow_has_settled(p_member bigint)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    CASE
      WHEN p_member < 0 THEN (SELECT state <> 'executing' FROM oban_workflow_groups WHERE key = p_member)
      ELSE COALESCE((SELECT oban_workflow_is_settled_v1(state::text) FROM oban_jobs WHERE id = p_member), true)
    END
$$;
