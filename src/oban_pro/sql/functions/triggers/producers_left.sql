-- Remember when a producer that is removed had its last heartbeat: oban_producers forgets.
--
-- Called by: the trigger below, once for each statement that deletes from oban_producers.
-- Locks: the rows of those producers; see oban_workflow_refresh_queues.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_producers_left()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  UPDATE
    oban_workflow_producers k
  SET
    left_at = o.updated_at
  FROM
    old_rows o
  WHERE
    k.uuid = o.uuid;

  IF EXISTS (SELECT FROM oban_workflow_queues WHERE queue IN (SELECT queue FROM old_rows)) THEN
    PERFORM oban_workflow_refresh_queues(ARRAY(SELECT DISTINCT queue FROM old_rows));
  END IF;

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_producers_left
AFTER DELETE ON oban_producers
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_producers_left();
