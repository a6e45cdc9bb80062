-- What an installation does once it has the locks. What exists is left as it is.
DO $guard$
BEGIN
  IF to_regnamespace('/* TEMPLATE: schema */') IS NULL THEN
    CREATE SCHEMA /* TEMPLATE: schema */;
  END IF;

  IF to_regclass('/* TEMPLATE: schema */.oban_workflow_migrations') IS NULL
    AND to_regclass('/* TEMPLATE: schema */.oban_workflows') IS NOT NULL
  THEN
    RAISE EXCEPTION 'schema /* TEMPLATE: schema */ holds a foreign relation oban_workflows; install into another schema with prefix=, or remove it'
      USING ERRCODE = 'OBW01';
  END IF;

  IF to_regclass('/* TEMPLATE: schema */.oban_workflow_migrations') IS NULL THEN
    CREATE TABLE oban_workflow_migrations (
      version integer NOT NULL,
      applied_at timestamp WITHOUT TIME ZONE NOT NULL DEFAULT timezone('UTC', now()),

      CONSTRAINT oban_workflow_migrations_pkey PRIMARY KEY (version)
    );
  END IF;

  IF to_regclass('/* TEMPLATE: schema */.oban_jobs') IS NULL
    OR to_regclass('/* TEMPLATE: schema */.oban_leaders') IS NULL
    OR to_regclass('/* TEMPLATE: schema */.oban_producers') IS NULL
  THEN
    EXECUTE $oban$/* TEMPLATE: oban */$oban$;
  END IF;
END;
$guard$;

DO $versions$
DECLARE
  v_tables integer;
  v_package text;
  v_is_newer boolean := false;
BEGIN
  SELECT max(version) INTO v_tables FROM oban_workflow_migrations;

  IF to_regprocedure('oban_workflow_installed_v1()') IS NOT NULL THEN
    SELECT
      i.package, i.release > '/* TEMPLATE: release */' AND i.digest <> '/* TEMPLATE: digest */'
    INTO
      v_package, v_is_newer
    FROM
      oban_workflow_installed_v1() i;
  END IF;

  IF (v_tables > /* TEMPLATE: version */ OR v_is_newer) AND NOT /* TEMPLATE: force */ THEN
    RAISE EXCEPTION USING
      MESSAGE = 'schema /* TEMPLATE: schema */ is at version ' || v_tables || ' of oban-workflows'
        || COALESCE(' (installed by ' || v_package || ')', '')
        || ', newer than version /* TEMPLATE: version */ of this package (/* TEMPLATE: package */); upgrade the package,'
        || ' or put its functions in place with oban-workflows install --force',
      ERRCODE = 'OBW02';
  END IF;

  -- A dump without data has no rows of the ledger. What it does have says which there were.
  IF v_tables IS NULL AND to_regclass('/* TEMPLATE: schema */.oban_workflow_groups') IS NOT NULL AND v_package IS NOT NULL THEN
    INSERT INTO oban_workflow_migrations (version) SELECT generate_series(1, i.tables) FROM oban_workflow_installed_v1() i;
  END IF;
END;
$versions$;

/* TEMPLATE: migrations */

DO $apply$
DECLARE
  v_is_current boolean := false;
BEGIN
  IF to_regprocedure('oban_workflow_installed_v1()') IS NOT NULL AND NOT /* TEMPLATE: force */ THEN
    -- neither this package nor anybody else has changed anything since
    SELECT
      i.digest = '/* TEMPLATE: digest */' AND i.catalog = /* TEMPLATE: catalog */
    INTO
      v_is_current
    FROM
      oban_workflow_installed_v1() i;
  END IF;

  IF v_is_current THEN
    RETURN;
  END IF;

  -- Functions call each other, in whatever order their files are.
  PERFORM set_config('oban_workflows.check_function_bodies', current_setting('check_function_bodies'), true);
  PERFORM set_config('check_function_bodies', 'off', true);

  EXECUTE $functions$
/* TEMPLATE: functions */
$functions$;

  EXECUTE replace(
    replace(
      $installed$
/* TEMPLATE: installed */
$installed$,
      '/* tables */',
      (SELECT max(version)::text FROM oban_workflow_migrations)
    ),
    '/* catalog */',
    /* TEMPLATE: catalog */
  );

  PERFORM set_config('check_function_bodies', current_setting('oban_workflows.check_function_bodies'), true);
END;
$apply$;

/* TEMPLATE: triggers */

/* TEMPLATE: rights */
