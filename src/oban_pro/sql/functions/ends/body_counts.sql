-- How everything in a workflow has settled except its final jobs, by the stored counters. The graft that undoes the workflow
-- is left out as well, unless the caller asks for it. NULL while any of that is open, or if the workflow is empty and has
-- not opened.
--
-- Called by: oban_workflow_body_state, oban_workflow_end_bodies, oban_workflow_take_undos_back. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_body_counts(p_key bigint, p_with_undo boolean)
RETURNS text
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    CASE
      WHEN g.total + g.subs = e.finals AND NOT e.opened THEN NULL
      WHEN g.total - g.completed - g.cancelled - g.discarded
        > e.finals - e.completed - e.cancelled - e.discarded THEN NULL
      WHEN g.subs - (u.state IS NOT NULL)::int
        > g.subs_completed + g.subs_cancelled + g.subs_discarded - (COALESCE(u.state, 'executing') <> 'executing')::int THEN NULL
      WHEN g.discarded + g.subs_discarded > e.discarded + (u.state IS NOT DISTINCT FROM 'discarded')::int THEN 'discarded'
      WHEN g.cancelled + g.subs_cancelled > e.cancelled + (u.state IS NOT DISTINCT FROM 'cancelled')::int THEN 'cancelled'
      ELSE 'completed'
    END
  FROM
    oban_workflow_ends e
    JOIN oban_workflow_groups g ON g.key = e.group_key
    LEFT JOIN LATERAL (
      SELECT state FROM oban_workflow_groups WHERE key = e.undo AND NOT p_with_undo OFFSET 0
    ) u ON true
  WHERE
    e.group_key = p_key
$$;
