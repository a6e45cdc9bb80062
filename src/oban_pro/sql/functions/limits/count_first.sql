-- Count changes before anything is released, because free slots are computed from the counters. Returns the groups
-- whose own state changed by it, and the jobs at the front of lines, which are to be released as well.
--
-- Called by: oban_workflow_propagate, in workflows with limits.
-- Locks: see oban_workflow_update_counters. Twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_count_first(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[],
  p_rules smallint,
  OUT ids bigint[],
  OUT old text[],
  OUT new text[],
  OUT lines bigint[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  SELECT c.ids, c.old, c.new FROM oban_workflow_update_counters(p_ids, p_old, p_new, p_started, p_rules) c INTO ids, old, new;

  lines := ARRAY(SELECT oban_workflow_lines_of(p_ids));
END;
$$;
