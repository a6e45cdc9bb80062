-- Whether a dependency in the given state lets a dependent with the given flags go on. A job whose row
-- was deleted before it settled ('deleted') never does.
--
-- Its operators are found when it is created, so that no search_path changes them and it is still inlined.
CREATE OR REPLACE FUNCTION oban_workflow_satisfies_v1(p_state text, p_ignore_cancelled boolean, p_ignore_discarded boolean)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN
  p_state IN ('completed', 'skipped')
  OR (p_state = 'cancelled' AND p_ignore_cancelled)
  OR (p_state = 'discarded' AND p_ignore_discarded);
