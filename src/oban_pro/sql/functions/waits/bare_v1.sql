-- An Erlang term without its version byte, from a recorded value as oban spells it: base64 without padding.
CREATE OR REPLACE FUNCTION oban_workflow_bare_v1(p_recorded text)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
SET search_path FROM CURRENT
AS $$
  SELECT substring(decode(p_recorded || repeat('=', -length(p_recorded) & 3), 'base64') FROM 2)
$$;
