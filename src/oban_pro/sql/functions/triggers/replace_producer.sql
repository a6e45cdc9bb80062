-- Let the row of a producer that is written again take the place of the one that is there. A restore of data alone
-- writes it twice: by the trigger on oban_producers, which comes first, and from the dump.
--
-- Called by: the trigger below, for each row that is inserted into oban_workflow_producers.
-- Locks: an advisory lock of that producer, as a parallel restore writes both at once; then its row.
-- Called twice: leaves one row.
CREATE OR REPLACE FUNCTION oban_workflow_replace_producer()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('oban_workflows.producer ' || NEW.uuid, 0));

  DELETE FROM oban_workflow_producers WHERE uuid = NEW.uuid;

  RETURN NEW;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_replace_producer
BEFORE INSERT ON oban_workflow_producers
FOR EACH ROW
EXECUTE FUNCTION oban_workflow_replace_producer();
