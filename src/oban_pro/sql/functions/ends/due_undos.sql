-- Which of some workflows are to be undone before they count as settled, and in which queue: something of them completed, they
-- did not, and nothing was done about it yet.
--
-- Called by: oban_workflow_end_bodies, oban_workflow_expected_ends, oban_workflow_repair_undos. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_due_undos(p_keys bigint[])
RETURNS TABLE (key bigint, queue text)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    u.key, u.queue
  FROM (
    SELECT
      e.group_key AS key, oban_workflow_undo_queue(e.group_key) AS queue
    FROM
      oban_workflow_ends e
    WHERE
      e.group_key = ANY(p_keys)
      AND e.undo IS NULL
      AND oban_workflow_body_counts(e.group_key, false) <> 'completed'
    OFFSET
      0
  ) u
  WHERE
    u.queue IS NOT NULL
$$;
