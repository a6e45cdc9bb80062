-- Whether a job or a group in the given state has settled. NULL for none.
--
-- Its operators are found when it is created, so that no search_path changes them and it is still inlined.
CREATE OR REPLACE FUNCTION oban_workflow_is_settled_v1(p_state text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
RETURN
  p_state IN ('completed', 'cancelled', 'discarded');
