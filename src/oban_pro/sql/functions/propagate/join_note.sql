-- What the error of a broken join says besides what broke it: how many of its dependencies it needed, and how many broke.
-- NULL for a member that is not a join.
--
-- Called by: oban_workflow_count_broken, oban_workflow_stuck_jobs. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_join_note(p_need integer, p_deps integer, p_skipped integer, p_broken integer)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN
  '; ' || LEAST(p_need, p_deps - p_skipped) || ' of ' || (p_deps - p_skipped)
  || ' were needed, ' || p_broken || ' broke';
