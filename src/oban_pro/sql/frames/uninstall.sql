-- What a removal does: drops what install.sql made, and nothing of oban's. A schema without our ledger is left alone.
DO $uninstall$
DECLARE
  v_functions text;
BEGIN
  IF to_regclass('/* TEMPLATE: schema */.oban_workflow_migrations') IS NULL THEN
    RETURN;
  END IF;

  DROP VIEW IF EXISTS /* TEMPLATE: schema */.oban_workflows;

  -- all at once, as some depend on others
  SELECT
    string_agg(oid::regprocedure::text, ', ')
  INTO
    v_functions
  FROM
    pg_proc
  WHERE
    pronamespace = to_regnamespace('/* TEMPLATE: schema */')
    AND starts_with(proname, 'oban_workflow_');

  IF v_functions IS NOT NULL THEN
    EXECUTE 'DROP FUNCTION ' || v_functions || ' CASCADE';
  END IF;

  DROP INDEX IF EXISTS
    /* TEMPLATE: schema */.oban_jobs_workflow_state_index,
    /* TEMPLATE: schema */.oban_jobs_exhausted_index,
    /* TEMPLATE: schema */.oban_jobs_workflow_id_index,
    /* TEMPLATE: schema */.oban_jobs_sup_workflow_id_index;
  DROP TABLE oban_workflow_edges, oban_workflow_members, oban_workflow_groups, oban_workflow_producers,
    oban_workflow_unended, oban_workflow_hearing, oban_workflow_waits, oban_workflow_signals, oban_workflow_awaits,
    oban_workflow_timers, oban_workflow_joins, oban_workflow_pauses, oban_workflow_schedules, oban_workflow_queues,
    oban_workflow_windows, oban_workflow_keys, oban_workflow_finals, oban_workflow_ends, oban_workflow_undos,
    oban_workflow_migrations;
END;
$uninstall$;
