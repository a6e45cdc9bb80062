-- Tell whoever waits for them that groups have settled, and mark for telemetry the roots that opened again.
--
-- Called by: oban_workflow_count and oban_workflow_extend, with groups whose state changed.
-- Locks: rows of oban_workflow_groups; the caller holds the root.
-- Twice: PostgreSQL sends equal notifications of one transaction once.
CREATE OR REPLACE FUNCTION oban_workflow_announce(p_keys bigint[], p_states text[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  IF 'executing' = ANY(p_states) THEN
    UPDATE
      oban_workflow_groups
    SET
      announced = false
    WHERE
      key = ANY(p_keys)
      AND announced;
  END IF;

  PERFORM
    pg_notify(current_schema() || '.oban_workflow', json_build_object('id', g.id)::text)
  FROM
    unnest(p_keys, p_states) AS u(key, state)
    JOIN oban_workflow_groups g ON g.key = u.key
  WHERE
    u.state <> 'executing'
    -- longer ones do not fit; those who wait poll as well
    AND octet_length(g.id) < 4000;
END;
$$;
