-- The waits that a member means: itself, or those in a group at any depth, but for its timers.
--
-- Called by: oban_workflow_signal_v1, oban_workflow_reject_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_waits_in(p_member bigint)
RETURNS SETOF oban_workflow_waits
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  IF p_member > 0 THEN
    RETURN QUERY SELECT * FROM oban_workflow_waits WHERE id = p_member;
  ELSE
    RETURN QUERY
    WITH RECURSIVE tree AS (
      SELECT p_member AS id
      UNION ALL
      SELECT
        m.id
      FROM
        tree
        CROSS JOIN LATERAL (SELECT id FROM oban_workflow_members WHERE group_key = tree.id OFFSET 0) m
      WHERE
        tree.id < 0
    )
    SELECT
      w.*
    FROM
      tree
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_waits WHERE id = tree.id AND kind = 'signal' OFFSET 0) w
    WHERE
      tree.id > 0;
  END IF;
END;
$$;
