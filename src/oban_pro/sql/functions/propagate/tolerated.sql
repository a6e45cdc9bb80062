-- The number of failures that a group tolerates, given the number of its direct members; NULL if it has no tolerance.
--
-- Called by: oban_workflow_count_failures. Locks nothing. The generated column "state" of groups
-- computes the same.
CREATE OR REPLACE FUNCTION oban_workflow_tolerated(p_tolerates numeric, p_members integer)
RETURNS integer
LANGUAGE sql
IMMUTABLE
RETURN
  floor(LEAST(CASE WHEN p_tolerates < 1 THEN p_tolerates * p_members ELSE p_tolerates END, 2147483647))::integer;
