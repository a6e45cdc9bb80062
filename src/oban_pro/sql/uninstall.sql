-- Removes what install.sql made, and nothing of oban's. A schema without our ledger is left alone.
SELECT set_config('oban_workflows.search_path', current_setting('search_path'), true);
SELECT set_config('search_path', '/* TEMPLATE: schema */', true);

DO $uninstall$
DECLARE
  v_function regprocedure;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('oban_workflows.install', 0));

  IF to_regclass('oban_workflow_migrations') IS NULL THEN
    RETURN;
  END IF;

  DROP VIEW IF EXISTS oban_workflows;

  FOR v_function IN
    SELECT
      oid::regprocedure
    FROM
      pg_proc
    WHERE
      pronamespace = to_regnamespace('/* TEMPLATE: schema */')
      AND starts_with(proname, 'oban_workflow_')
  LOOP
    EXECUTE 'DROP FUNCTION IF EXISTS ' || v_function || ' CASCADE';
  END LOOP;

  DROP INDEX IF EXISTS oban_jobs_workflow_waiting_index, oban_jobs_workflow_id_index, oban_jobs_sup_workflow_id_index;
  DROP TABLE oban_workflow_edges, oban_workflow_members, oban_workflow_groups, oban_workflow_producers,
    oban_workflow_migrations;
END;
$uninstall$;

SELECT set_config('search_path', current_setting('oban_workflows.search_path'), true);
