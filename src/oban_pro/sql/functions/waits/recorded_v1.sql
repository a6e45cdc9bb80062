-- Spell an Erlang term as oban spells a recorded value: with its version byte, as base64 without padding.
CREATE OR REPLACE FUNCTION oban_workflow_recorded_v1(p_term bytea)
RETURNS text
LANGUAGE sql
IMMUTABLE
SET search_path FROM CURRENT
AS $$
  SELECT rtrim(translate(encode('\x83'::bytea || p_term, 'base64'), E'\n', ''), '=')
$$;
