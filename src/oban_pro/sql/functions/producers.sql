-- Remember every producer, and when one that is removed had its last heartbeat: oban_producers forgets.
--
-- Called by: the triggers below, once for each statement that inserts into oban_producers or deletes from
-- it. A heartbeat is an update, and costs nothing here.
-- Locks: the rows of those producers.
-- Twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_producers_joined()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  INSERT INTO oban_workflow_producers (uuid, patience)
  SELECT
    uuid,
    CASE jsonb_typeof(meta -> 'oban_workflows_patience')
      WHEN 'number' THEN (meta ->> 'oban_workflows_patience')::double precision
    END
  FROM
    new_rows
  ON CONFLICT ON CONSTRAINT oban_workflow_producers_pkey DO UPDATE
  SET
    patience = EXCLUDED.patience,
    left_at = NULL;

  RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION oban_workflow_producers_left()
RETURNS trigger
LANGUAGE plpgsql
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

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_producers_joined
AFTER INSERT ON oban_producers
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_producers_joined();

CREATE OR REPLACE TRIGGER oban_workflow_producers_left
AFTER DELETE ON oban_producers
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_producers_left();
