-- The root that is the next in line for a key; NULL if none waits.
--
-- Called by: oban_workflow_hand_over, oban_workflow_key_is_held. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_next_in_line(p_key text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  RETURN (
    SELECT
      g.key
    FROM
      oban_workflow_groups g
    WHERE
      g.unique_key = p_key
      AND g.queued_at IS NOT NULL
      AND g.state = 'executing'
      -- not an anti-join, which reads the whole line
      AND g.key IS DISTINCT FROM (SELECT k.holder FROM oban_workflow_keys k WHERE k.key = p_key)
    ORDER BY
      g.queued_at, g.key DESC
    LIMIT
      1
  );
END;
$$;
