-- Note that the database can receive heartbeats now. At most a quarter of the shortest patience counts between two
-- calls: if more time has passed, the database may have been away. p_patience is for producers that announced none.
--
-- Called by: oban_workflow_silent_jobs_v1, one at a time.
-- Locks: the newest row of oban_workflow_hearing.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_hear(p_patience double precision)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_until timestamp := (SELECT max(heard_until) FROM oban_workflow_hearing);
  v_pause interval;
BEGIN
  -- those that are given up do not count
  SELECT
    make_interval(secs => COALESCE(min(COALESCE(k.patience, p_patience)), p_patience) / 4)
  INTO
    v_pause
  FROM
    oban_workflow_producers k
  WHERE
    k.uuid::text NOT IN (SELECT s.uuid FROM oban_workflow_silent_producers(p_patience) s);

  -- the clock was set back
  IF v_until > v_now + interval '15 seconds' THEN
    DELETE FROM oban_workflow_hearing;
    v_until := NULL;
  END IF;

  IF v_until >= v_now - v_pause THEN
    UPDATE
      oban_workflow_hearing
    SET
      heard_until = GREATEST(heard_until, v_now)
    WHERE
      heard_until = v_until;

    RETURN;
  END IF;

  INSERT INTO
    oban_workflow_hearing (heard_from, heard_until)
  VALUES
    (CASE WHEN v_until IS NULL THEN v_now ELSE v_now - v_pause END, v_now);

  DELETE FROM
    oban_workflow_hearing
  WHERE
    heard_until < (SELECT heard_until FROM oban_workflow_hearing ORDER BY heard_until DESC OFFSET 100 LIMIT 1);
END;
$$;
