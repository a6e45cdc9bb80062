-- Whether a key is held: its holder has not settled, or holds it for longer, or others wait in line. Returns the root that
-- whoever wants the key has to compare with; NULL if it is free. With p_lined, a key is held
-- only if there is somebody to wait behind.
--
-- Called by: oban_workflow_claim_v1, oban_workflow_retake_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_key_is_held(p_key oban_workflow_keys, p_lined boolean)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  IF EXISTS (SELECT FROM oban_workflow_groups WHERE key = p_key.holder AND state = 'executing')
    OR (NOT p_lined AND p_key.held_until > timezone('UTC', clock_timestamp()))
  THEN
    RETURN p_key.holder;
  END IF;

  RETURN oban_workflow_next_in_line(p_key.key);
END;
$$;
