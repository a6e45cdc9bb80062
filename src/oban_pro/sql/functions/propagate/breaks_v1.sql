-- Whether a dependency in the given state can no longer be satisfied for a dependent with the given flags.
--
-- Its operators are found when it is created, so that no search_path changes them and it is still inlined.
CREATE OR REPLACE FUNCTION oban_workflow_breaks_v1(p_state text, p_ignore_cancelled boolean, p_ignore_discarded boolean)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN
  p_state = 'deleted'
  OR (p_state = 'cancelled' AND NOT p_ignore_cancelled)
  OR (p_state = 'discarded' AND NOT p_ignore_discarded);
