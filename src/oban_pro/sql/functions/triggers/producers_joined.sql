-- Remember every producer that registers, how long it may be silent, and which limits its queue has over all nodes.
--
-- Called by: the trigger below, once for each statement that inserts into oban_producers. A heartbeat is an
-- update, and costs nothing here.
-- Locks: the rows of those producers; see oban_workflow_refresh_queues.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_producers_joined()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  INSERT INTO oban_workflow_producers (uuid, patience, queue, limits)
  SELECT
    uuid,
    CASE jsonb_typeof(meta -> 'oban_workflows_patience')
      WHEN 'number' THEN (meta ->> 'oban_workflows_patience')::double precision
    END,
    queue,
    oban_workflow_announced(meta)
  FROM
    new_rows
  ON CONFLICT ON CONSTRAINT oban_workflow_producers_pkey DO UPDATE
  SET
    patience = EXCLUDED.patience,
    queue = EXCLUDED.queue,
    limits = EXCLUDED.limits,
    left_at = NULL;

  IF EXISTS (SELECT FROM new_rows WHERE oban_workflow_announced(meta) IS NOT NULL) THEN
    PERFORM oban_workflow_refresh_queues(ARRAY(SELECT DISTINCT queue FROM new_rows));
  END IF;

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_producers_joined
AFTER INSERT ON oban_producers
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_producers_joined();
