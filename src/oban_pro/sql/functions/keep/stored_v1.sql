-- Which of some groups may have objects in a store: the URL of the store, the id of the workflow, and the last of the jobs that
-- may have any; NULL for none. The caller gives the groups of whole roots. Jobs of a workflow that takes the same id later
-- come after the last of these jobs, and their objects are not among those that are removed.
--
-- Called by: oban_workflow_prune_workflows, and delete() of a handle, before they remove the groups. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_stored_v1(p_groups bigint[])
RETURNS text[]
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM oban_workflow_groups WHERE key = ANY(p_groups) AND store IS NOT NULL) THEN
    RETURN NULL;
  END IF;

  RETURN (
    WITH last_jobs AS MATERIALIZED (
      SELECT
        g.root, max(m.id) AS id
      FROM
        oban_workflow_groups g
        LEFT JOIN oban_workflow_members m ON m.group_key = g.key
      WHERE
        g.key = ANY(p_groups)
      GROUP BY
        g.root
    )
    SELECT
      array_agg(ARRAY[g.store, g.id, last_jobs.id::text])
    FROM
      oban_workflow_groups g
      JOIN last_jobs ON last_jobs.root = g.root
    WHERE
      g.key = ANY(p_groups)
      AND g.store IS NOT NULL
  );
END;
$$;
