-- Notify those who wait for groups that these have settled, and mark for telemetry the roots that opened again.
--
-- Called by: oban_workflow_update_counters and oban_workflow_add_to_group_v1, with groups whose state changed.
-- Locks: rows of oban_workflow_groups; the caller holds the root.
-- Called twice: PostgreSQL sends equal notifications of one transaction once.
CREATE OR REPLACE FUNCTION oban_workflow_notify_settled(p_keys bigint[], p_states text[])
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
    pg_notify(current_schema() || '.oban_workflow', g.payload)
  FROM
    unnest(p_keys, p_states) AS u(key, state)
    -- a lookup for each; as a join it reads all groups where the caller forbids nested loops
    CROSS JOIN LATERAL (
      SELECT json_build_object('id', id)::text AS payload FROM oban_workflow_groups WHERE key = u.key OFFSET 0
    ) g
  WHERE
    u.state <> 'executing'
    -- longer ones do not fit; those who wait poll as well
    AND octet_length(g.payload) < 8000;
END;
$$;
