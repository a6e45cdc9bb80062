-- Whether a dependency in the given state lets a dependent with the given flags go on. A job whose row
-- was deleted before it settled ('deleted') never does.
CREATE OR REPLACE FUNCTION oban_workflow_satisfies(p_state text, p_ignore_cancelled boolean, p_ignore_discarded boolean)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
AS $$
  SELECT
    p_state = 'completed'
    OR (p_state = 'cancelled' AND p_ignore_cancelled)
    OR (p_state = 'discarded' AND p_ignore_discarded)
$$;
