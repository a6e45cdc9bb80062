-- Which of some jobs are paused: they themselves, or a group around them.
--
-- Called by: oban_workflow_hold_back, oban_workflow_suspend_again, oban_workflow_hold_paused,
-- oban_workflow_resume_members. Locks nothing; the caller holds the root.
CREATE OR REPLACE FUNCTION oban_workflow_paused(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH RECURSIVE jobs AS MATERIALIZED (
    SELECT
      m.id, m.group_key
    FROM
      unnest(p_ids) AS j(id)
      CROSS JOIN LATERAL (SELECT id, group_key FROM oban_workflow_members WHERE id = j.id OFFSET 0) m
  ),
  -- the group of a job, and each group around that
  around AS (
    SELECT DISTINCT
      group_key, group_key AS key
    FROM
      jobs
    UNION ALL
    SELECT
      around.group_key, g.parent
    FROM
      around
      CROSS JOIN LATERAL (SELECT parent FROM oban_workflow_groups WHERE key = around.key OFFSET 0) g
    WHERE
      g.parent IS NOT NULL
  ),
  paused AS MATERIALIZED (
    SELECT DISTINCT
      around.group_key
    FROM
      around
      CROSS JOIN LATERAL (SELECT FROM oban_workflow_pauses WHERE target = around.key OFFSET 0) p
  )
  SELECT
    jobs.id
  FROM
    jobs
  WHERE
    jobs.group_key IN (SELECT group_key FROM paused)
    OR EXISTS (SELECT FROM oban_workflow_pauses WHERE target = jobs.id OFFSET 0)
$$;
