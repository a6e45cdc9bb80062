-- Note the limits that a producer announces anew, as one does that is scaled.
--
-- Called by: the trigger below, for each row of oban_producers whose meta changes. A heartbeat changes none, and costs a
-- comparison.
-- Locks: the row of that producer; see oban_workflow_refresh_queues.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_producers_changed()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  UPDATE
    oban_workflow_producers
  SET
    limits = oban_workflow_announced(NEW.meta)
  WHERE
    uuid = NEW.uuid
    AND limits IS DISTINCT FROM oban_workflow_announced(NEW.meta);

  IF FOUND THEN
    PERFORM oban_workflow_refresh_queues(ARRAY[NEW.queue]);
  END IF;

  RETURN NULL;
END;
$$;

-- PostgreSQL spells the condition so; an installation compares.
CREATE OR REPLACE TRIGGER oban_workflow_producers_changed
AFTER UPDATE ON oban_producers
FOR EACH ROW
WHEN (old.meta IS DISTINCT FROM new.meta)
EXECUTE FUNCTION oban_workflow_producers_changed();
