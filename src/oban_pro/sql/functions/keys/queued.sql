-- Which of some jobs are of workflows that wait in line for their key, or for the end of the workflow before them. Final
-- jobs of one that has ended in line wait no longer: they are cancelled or skipped.
--
-- Called by: oban_workflow_hold_back, oban_workflow_suspend_again. Locks nothing; the caller holds the roots.
CREATE OR REPLACE FUNCTION oban_workflow_queued(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  WITH jobs AS MATERIALIZED (
    SELECT
      m.id, m.group_key
    FROM
      unnest(p_ids) AS j(id)
      CROSS JOIN LATERAL (SELECT id, group_key FROM oban_workflow_members WHERE id = j.id OFFSET 0) m
  ),
  waiting AS MATERIALIZED (
    SELECT
      h.group_key
    FROM
      (SELECT DISTINCT group_key FROM jobs) h
      CROSS JOIN LATERAL (SELECT root FROM oban_workflow_groups WHERE key = h.group_key OFFSET 0) g
      CROSS JOIN LATERAL (SELECT queued_at FROM oban_workflow_groups WHERE key = g.root OFFSET 0) r
    WHERE
      r.queued_at IS NOT NULL
  )
  SELECT
    jobs.id
  FROM
    jobs
  WHERE
    jobs.group_key IN (SELECT group_key FROM waiting)
    AND NOT EXISTS (
      SELECT
      FROM
        oban_workflow_finals f
        CROSS JOIN LATERAL (SELECT opened, outcome FROM oban_workflow_ends WHERE group_key = f.group_key OFFSET 0) e
      WHERE
        f.id = jobs.id
        AND NOT e.opened
        AND e.outcome IS NOT NULL
    )
$$;
