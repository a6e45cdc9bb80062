-- Jobs that are to be cancelled, without final jobs and what undoes something: these are spared unless they are named. Final
-- jobs of an empty workflow that has not opened are not: they are cancelled with it.
--
-- p_jobs are those of the members p_names of the workflow p_id, or all.
--
-- Called by: oban_workflow_cancel_v3, oban_workflow_cancelling_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_spare_ends(p_id text, p_names text[], p_jobs bigint[])
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_undoing bigint[] := ARRAY(
    SELECT
      u.id
    FROM
      oban_workflow_undoing((SELECT root FROM oban_workflow_groups WHERE id = p_id)) AS u(id)
    -- named as a whole
    EXCEPT
    SELECT oban_workflow_jobs_of(p_id, ARRAY(SELECT n.name FROM unnest(p_names) AS n(name) WHERE n.name = 'undo'))
  );
BEGIN
  RETURN QUERY
  SELECT
    j.id
  FROM
    unnest(p_jobs) AS j(id)
    JOIN oban_workflow_members m ON m.id = j.id
    JOIN oban_workflow_groups g ON g.key = m.group_key
  WHERE
    (g.id = p_id AND m.name = ANY(p_names)) IS TRUE
    OR NOT (
      j.id = ANY(v_undoing)
      OR EXISTS (SELECT FROM oban_workflow_finals f WHERE f.id = j.id) AND NOT oban_workflow_is_unopened_final(j.id)
    );
END;
$$;
