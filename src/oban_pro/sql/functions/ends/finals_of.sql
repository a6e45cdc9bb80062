-- The final jobs of all workflows of a root but those that are empty and have not opened, and the jobs that undo something.
--
-- Called by: oban_workflow_expire, oban_workflow_fail_fast, oban_workflow_cut_short. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_finals_of(p_root bigint)
RETURNS SETOF bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    f.id
  FROM
    oban_workflow_ends e
    CROSS JOIN LATERAL (SELECT id FROM oban_workflow_finals WHERE group_key = e.group_key OFFSET 0) f
  WHERE
    e.root = p_root
    AND NOT oban_workflow_is_unopened_final(f.id)
  UNION ALL
  SELECT oban_workflow_undoing(p_root)
$$;
