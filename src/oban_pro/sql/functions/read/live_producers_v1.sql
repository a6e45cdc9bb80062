-- The producers that are alive: each has sent a heartbeat within its patience. p_patience, in seconds, is that of
-- producers which did not say one; 60 is oban's own default. None on a standby, where an unlogged table such as
-- oban_producers cannot be read: a caller there must not take none for none alive.
--
-- Called by: queries/chain.sql. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_live_producers_v1(p_patience double precision DEFAULT 60)
RETURNS TABLE (uuid uuid, queue text, paused boolean)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  -- even to plan the statement would fail
  IF pg_is_in_recovery() THEN
    RETURN;
  END IF;

  RETURN QUERY
  SELECT
    p.uuid, p.queue, COALESCE((p.meta ->> 'paused')::boolean, false)
  FROM
    oban_producers p
    LEFT JOIN oban_workflow_producers k ON k.uuid = p.uuid
  WHERE
    p.updated_at >= timezone('UTC', now()) - make_interval(secs => COALESCE(k.patience, p_patience));
END;
$$;
