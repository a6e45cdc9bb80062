-- Wraps the migrations and functions: everything runs in one transaction, in the schema asked for, one
-- installation at a time. There is no percent sign in here nor in the files it wraps: some drivers take
-- one for a parameter.
SELECT set_config('oban_workflows.search_path', current_setting('search_path'), true);

DO $guard$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('oban_workflows.install', 0));

  IF to_regnamespace('/* TEMPLATE: schema */') IS NULL THEN
    CREATE SCHEMA /* TEMPLATE: schema */;
  END IF;

  PERFORM set_config('search_path', '/* TEMPLATE: schema */', true);

  IF to_regclass('oban_workflow_migrations') IS NULL AND to_regclass('oban_workflows') IS NOT NULL THEN
    RAISE EXCEPTION 'schema /* TEMPLATE: schema */ holds a foreign relation oban_workflows; install into another schema with prefix=, or remove it'
      USING ERRCODE = 'OBW01';
  END IF;
END;
$guard$;

CREATE TABLE IF NOT EXISTS oban_workflow_migrations (
  version integer NOT NULL,
  applied_at timestamp WITHOUT TIME ZONE NOT NULL DEFAULT timezone('UTC', now()),

  CONSTRAINT oban_workflow_migrations_pkey PRIMARY KEY (version)
);

DO $guard$
BEGIN
  IF EXISTS (SELECT FROM oban_workflow_migrations WHERE version > /* TEMPLATE: version */) THEN
    RAISE EXCEPTION USING
      MESSAGE = 'schema /* TEMPLATE: schema */ is at version ' || (SELECT max(version) FROM oban_workflow_migrations)
        || ' of oban-workflows, newer than version /* TEMPLATE: version */ of this package; upgrade the package',
      ERRCODE = 'OBW02';
  END IF;

  IF to_regclass('oban_jobs') IS NULL OR to_regclass('oban_leaders') IS NULL OR to_regclass('oban_producers') IS NULL THEN
    EXECUTE $oban$/* TEMPLATE: oban */$oban$;
  END IF;
END;
$guard$;

/* TEMPLATE: migrations */

-- Functions call each other, in whatever order their files are.
SELECT set_config('check_function_bodies', 'off', true);

/* TEMPLATE: functions */

SELECT set_config('search_path', current_setting('oban_workflows.search_path'), true);
