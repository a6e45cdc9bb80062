-- The jobs of a workflow and of all workflows nested in it; or, with names, of those of its members: a job
-- is itself, a group all the jobs in it. An empty array of names selects nothing.
--
-- Called by: oban_workflow_cancel_v3, oban_workflow_retry_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_jobs_of(p_id text, p_names text[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    j.id
  FROM
    oban_workflow_jobs_in(
      ARRAY(
        SELECT
          m.id
        FROM
          oban_workflow_groups g
          CROSS JOIN LATERAL (
            SELECT id FROM oban_workflow_members WHERE group_key = g.key AND p_names IS NULL
            UNION ALL
            -- each by itself: with = ANY(p_names) all members may be read, and their names compared
            SELECT
              named.id
            FROM
              (SELECT DISTINCT unnest(p_names) AS name) n
              CROSS JOIN LATERAL (
                SELECT id FROM oban_workflow_members WHERE group_key = g.key AND name = n.name OFFSET 0
              ) named
          ) m
        WHERE
          g.id = p_id
      )
    ) j
$$;
