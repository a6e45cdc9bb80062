-- Whether a job is a final job of an empty workflow that has never opened. Whatever breaks such a workflow cancels its
-- final jobs. Final jobs of other workflows wait for the end of everything else.
--
-- Called by: oban_workflow_is_gated_final, oban_workflow_spare_ends, oban_workflow_finals_of. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_is_unopened_final(p_id bigint)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    EXISTS (
      SELECT
      FROM
        oban_workflow_finals f
        CROSS JOIN LATERAL (SELECT opened, finals FROM oban_workflow_ends WHERE group_key = f.group_key OFFSET 0) e
        CROSS JOIN LATERAL (SELECT total, subs FROM oban_workflow_groups WHERE key = f.group_key OFFSET 0) g
      WHERE
        f.id = p_id
        AND NOT e.opened
        AND g.total + g.subs = e.finals
    )
$$;
