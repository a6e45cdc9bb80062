-- Remember the state in which deleted jobs had settled. A job that had not settled breaks its dependents. Signals to
-- deleted plain jobs are removed.
--
-- Called by: the trigger below, once for each statement that deletes from oban_jobs.
-- Locks: rows of signals and calls of plain jobs; else see oban_workflow_apply_changes.
-- Called twice: a row is deleted once.
CREATE OR REPLACE FUNCTION oban_workflow_after_delete()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_ids bigint[];
  v_old text[];
BEGIN
  -- The engine applies its own changes. A trigger of the user's that it fires is one level deeper.
  IF current_setting('oban_workflows.engine', true) = pg_trigger_depth()::text THEN
    RETURN NULL;
  END IF;

  SELECT
    array_agg(id ORDER BY id),
    array_agg(
      oban_workflow_job_state_v1(state::text, attempt, meta) ORDER BY id
    )
  INTO
    v_ids, v_old
  FROM
    old_rows;

  IF v_ids IS NULL THEN
    RETURN NULL;
  END IF;

  PERFORM oban_workflow_remove_signals(v_ids);

  IF oban_workflow_lock_roots_late(v_ids) IS NULL THEN
    RETURN NULL;
  END IF;

  UPDATE
    oban_workflow_members m
  SET
    gone = CASE
      WHEN d.state IN ('completed', 'skipped', 'cancelled', 'discarded') THEN d.state
      ELSE 'deleted'
    END
  FROM
    unnest(v_ids, v_old) AS d(id, state)
  WHERE
    m.id = d.id;

  SELECT
    array_agg(d.id), array_agg(d.state)
  INTO
    v_ids, v_old
  FROM
    unnest(v_ids, v_old) AS d(id, state)
  WHERE
    d.state NOT IN ('completed', 'skipped', 'cancelled', 'discarded');

  IF v_ids IS NOT NULL THEN
    PERFORM oban_workflow_apply_changes(v_ids, v_old, array_fill('deleted'::text, ARRAY[cardinality(v_ids)]));
  END IF;

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_after_delete
AFTER DELETE ON oban_jobs
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_after_delete();
