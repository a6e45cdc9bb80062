-- Mend what is kept about the workflows of a root that have final jobs; returns of how many.
--
-- Called by: oban_workflow_repair_v1.
-- Locks: rows of oban_workflow_ends; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_repair_ends(p_root bigint)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_rows integer;
BEGIN
  UPDATE
    oban_workflow_ends s
  SET
    finals = e.finals,
    completed = e.completed,
    cancelled = e.cancelled,
    discarded = e.discarded,
    opened = e.opened,
    outcome = e.outcome
  FROM
    oban_workflow_expected_ends(p_root) e
  WHERE
    s.group_key = e.key
    AND (s.finals, s.completed, s.cancelled, s.discarded, s.opened, s.outcome)
      IS DISTINCT FROM (e.finals, e.completed, e.cancelled, e.discarded, e.opened, e.outcome);

  GET DIAGNOSTICS v_rows = ROW_COUNT;

  RETURN v_rows;
END;
$$;
