-- Wraps an installation, or its removal: one transaction, one of them at a time, in the schema asked for. There is no
-- percent sign in here nor in the files it wraps: some drivers take one for a parameter.
--
-- Relations are asked for with their schema wherever they may be missing: a temporary one of that name is not ours.
--
-- Whoever waits for a lock on a table keeps everybody waiting who comes later. So all locks of the work are asked for
-- before it starts, for 200 ms in all; where that does not do, everything is rolled back and asked for again, twenty
-- times. Then an error says who holds them.
SELECT
  set_config('oban_workflows.search_path', current_setting('search_path'), true),
  set_config('oban_workflows.lock_timeout', current_setting('lock_timeout'), true),
  set_config('oban_workflows.statement_timeout', current_setting('statement_timeout'), true),
  set_config('statement_timeout', '0', true);

DO $locked$
DECLARE
  c_tries CONSTANT integer := 20;
  c_wait CONSTANT interval := '200 milliseconds';
  c_key CONSTANT bigint := hashtextextended('oban_workflows.install', 0);
  v_version integer := 0;
  v_since timestamptz := clock_timestamp();
  v_end timestamptz;
  v_relations text[];
  v_modes text[];
  v_relation text;
  v_mode text;
  v_number integer;
  v_holders text;
BEGIN
  -- Another installation may hold this lock for a while. That is no harm: this one holds no lock on a table so far.
  PERFORM set_config('lock_timeout', '60s', true);

  BEGIN
    PERFORM pg_advisory_xact_lock(c_key);
  EXCEPTION
    WHEN lock_not_available THEN
      v_relation := 'the installation';
      v_mode := 'ADVISORY';
  END;

  -- what is written from here on has this id or a later one
  PERFORM pg_current_xact_id();
  PERFORM set_config('search_path', '/* TEMPLATE: schema */, pg_temp', true);
  -- what is here already, for rights.sql
  PERFORM set_config('oban_workflows.present', concat(' ', string_agg(name, ' '), ' '), true)
  FROM (
    SELECT relname AS name FROM pg_class WHERE relnamespace = to_regnamespace('/* TEMPLATE: schema */')
    UNION ALL
    SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace('/* TEMPLATE: schema */')
  ) present
  WHERE
    starts_with(name, 'oban_');

  FOR v_try IN 1 .. c_tries LOOP
    EXIT WHEN v_mode = 'ADVISORY';

    BEGIN
      IF to_regclass('/* TEMPLATE: schema */.oban_workflow_migrations') IS NOT NULL THEN
        SELECT COALESCE(max(version), 0) INTO v_version FROM oban_workflow_migrations;
      END IF;

      v_end := clock_timestamp() + c_wait;

      SELECT
        array_agg(l.relation ORDER BY l.relation), array_agg(l.mode ORDER BY l.relation)
      INTO
        v_relations, v_modes
      FROM
        (
/* TEMPLATE: locks */
        ) l
      WHERE
        to_regclass('/* TEMPLATE: schema */.' || l.relation) IS NOT NULL;

      FOR v_number IN 1 .. COALESCE(cardinality(v_relations), 0) LOOP
        v_relation := v_relations[v_number];
        v_mode := v_modes[v_number];
        PERFORM set_config(
          'lock_timeout', GREATEST(1, 1000 * extract(epoch FROM v_end - clock_timestamp()))::integer || 'ms', true
        );
        EXECUTE 'LOCK TABLE ' || v_relation || ' IN ' || v_mode || ' MODE';
      END LOOP;

      -- all that the work may still wait for
      v_relation := 'oban_workflows';
      v_mode := 'ACCESS EXCLUSIVE';
      PERFORM set_config(
        'lock_timeout', GREATEST(10, 1000 * extract(epoch FROM v_end - clock_timestamp()))::integer || 'ms', true
      );

      EXECUTE $work$
/* TEMPLATE: work */
$work$;

      v_relation := NULL;

      EXIT;
    EXCEPTION
      WHEN lock_not_available OR deadlock_detected THEN
        -- those who have waited go first
        PERFORM pg_sleep(0.05 + random() / 10);
    END;
  END LOOP;

  IF v_relation IS NOT NULL THEN
    SELECT
      string_agg(h.holder, '; ' ORDER BY h.since NULLS FIRST)
    INTO
      v_holders
    FROM
      (
        SELECT DISTINCT
          a.xact_start AS since,
          COALESCE(
            'pid ' || l.pid || ' (' || concat_ws(
              ', ',
              'application ' || NULLIF(a.application_name, ''),
              'role ' || a.usename,
              COALESCE(a.state, NULLIF(a.backend_type, 'client backend')),
              'its transaction began at ' || to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'
            ) || ')',
            'a prepared transaction (see pg_prepared_xacts)'
          ) AS holder
        FROM
          pg_locks l
          LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE
          l.granted
          AND l.pid IS DISTINCT FROM pg_backend_pid()
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND CASE
            WHEN v_mode = 'ADVISORY'
              THEN l.locktype = 'advisory' AND (l.classid::bigint << 32) | l.objid::bigint = c_key
            ELSE l.relation = to_regclass('/* TEMPLATE: schema */.' || v_relation)
              AND (v_mode = 'ACCESS EXCLUSIVE' OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))
          END
          -- traffic comes and goes
          AND (v_mode = 'ADVISORY' OR COALESCE(a.xact_start, v_since) <= v_since)
      ) h;

    RAISE EXCEPTION USING
      MESSAGE = 'nothing is changed in schema /* TEMPLATE: schema */, as ' || v_relation || ' is locked by '
        || COALESCE(v_holders, 'one transaction after another') || '; try again when that has ended',
      ERRCODE = 'OBW03';
  END IF;
END;
$locked$;

SELECT
  set_config('search_path', current_setting('oban_workflows.search_path'), true),
  set_config('lock_timeout', current_setting('oban_workflows.lock_timeout'), true),
  set_config('statement_timeout', current_setting('oban_workflows.statement_timeout'), true);
