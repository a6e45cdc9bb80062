-- Sees to it that whoever could use oban's tables before still can. What is ours belongs to the owner of oban_jobs, who
-- sees all jobs. Nobody calls a function that runs with the owner's rights, or makes it a trigger of another table,
-- without a GRANT. Roles that have rights on oban_jobs get those that go with them, on what was made just now.
SELECT set_config('oban_workflows.client_min_messages', current_setting('client_min_messages'), true);
SELECT set_config('client_min_messages', 'notice', true);

DO $rights$
DECLARE
  v_schema oid := to_regnamespace('/* TEMPLATE: schema */');
  v_present text[] := string_to_array(current_setting('oban_workflows.present'), ' ');
  v_is_new boolean := 'oban_workflow_groups' <> ALL(v_present);
  v_jobs record;
  v_role record;
  v_statement text;
  v_granted boolean;
BEGIN
  SELECT
    c.relowner AS owner, r.rolname AS owner_name, c.relrowsecurity AS filters, c.relforcerowsecurity AS forces,
    r.rolsuper OR r.rolbypassrls AS sees_all
  INTO
    v_jobs
  FROM
    pg_class c
    JOIN pg_roles r ON r.oid = c.relowner
  WHERE
    c.oid = to_regclass('/* TEMPLATE: schema */.oban_jobs');

  IF v_jobs.filters AND v_jobs.forces AND NOT v_jobs.sees_all THEN
    RAISE EXCEPTION USING
      MESSAGE = 'row level security of oban_jobs is forced on its owner ' || quote_ident(v_jobs.owner_name)
        || ', so dependents could not be released; run: ALTER TABLE /* TEMPLATE: schema */.oban_jobs NO FORCE ROW LEVEL SECURITY',
      ERRCODE = 'OBW04';
  END IF;

  FOR v_statement IN
    SELECT
      'ALTER ' || CASE relkind WHEN 'v' THEN 'VIEW ' ELSE 'TABLE ' END || oid::regclass || ' OWNER TO ' || quote_ident(v_jobs.owner_name)
    FROM
      pg_class
    WHERE
      relnamespace = v_schema
      AND starts_with(relname, 'oban_workflow')
      AND relkind IN ('r', 'v')
      AND relowner <> v_jobs.owner
    UNION ALL
    SELECT
      'ALTER FUNCTION ' || oid::regprocedure || ' OWNER TO ' || quote_ident(v_jobs.owner_name)
    FROM
      pg_proc
    WHERE
      pronamespace = v_schema
      AND starts_with(proname, 'oban_workflow_')
      AND proowner <> v_jobs.owner
  LOOP
    EXECUTE v_statement;
  END LOOP;

  -- What runs with the rights of its caller gives none, whatever the default privileges are.
  FOR v_statement IN
    SELECT
      CASE
        WHEN p.prosecdef THEN 'REVOKE EXECUTE ON FUNCTION ' || p.oid::regprocedure || ' FROM PUBLIC'
        ELSE 'GRANT EXECUTE ON FUNCTION ' || p.oid::regprocedure || ' TO PUBLIC'
      END
    FROM
      pg_proc p
    WHERE
      p.pronamespace = v_schema
      AND starts_with(p.proname, 'oban_workflow_')
      AND p.prosecdef = EXISTS (
        SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0
      )
  LOOP
    EXECUTE v_statement;
  END LOOP;

  -- The view shows what its reader may see. Older servers show what its owner may.
  IF current_setting('server_version_num')::int >= 150000 AND NOT EXISTS (
    SELECT
    FROM
      pg_class
    WHERE
      oid = to_regclass('/* TEMPLATE: schema */.oban_workflows')
      AND reloptions @> '{security_invoker=true}'
  ) THEN
    ALTER VIEW oban_workflows SET (security_invoker = true);
  END IF;

  FOR v_role IN
    SELECT
      COALESCE(quote_ident(a.rolname), 'PUBLIC') AS name,
      CASE
        WHEN a.rights @> '{SELECT,INSERT,UPDATE}' THEN 'worker'
        WHEN a.rights @> '{SELECT,INSERT}' THEN 'enqueuer'
        ELSE 'reader'
      END AS kind,
      v_is_new AND v_jobs.filters AND a.bypasses IS NOT TRUE AS is_filtered
    FROM
      (
        SELECT
          r.rolname, r.rolbypassrls AS bypasses, array_agg(a.privilege_type) AS rights
        FROM
          pg_class c
          CROSS JOIN aclexplode(c.relacl) a
          LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE
          c.oid = to_regclass('/* TEMPLATE: schema */.' || CASE WHEN v_is_new THEN 'oban_jobs' ELSE 'oban_workflow_groups' END)
          AND a.grantee <> c.relowner
          AND r.rolsuper IS NOT TRUE
        GROUP BY
          a.grantee, r.rolname, r.rolbypassrls
      ) a
    WHERE
      a.rights @> '{SELECT}'
    ORDER BY
      name
  LOOP
    v_granted := false;

    FOR v_statement IN
      SELECT
        replace(s.statement, ' TO oban_role', ' TO ' || v_role.name)
      FROM
        regexp_split_to_table(
          CASE v_role.kind
            WHEN 'worker' THEN $grants$/* TEMPLATE: worker */$grants$
            WHEN 'enqueuer' THEN $grants$/* TEMPLATE: enqueuer */$grants$
            ELSE $grants$/* TEMPLATE: reader */$grants$
          END,
          ';'
        ) AS s(statement)
      WHERE
        (regexp_match(s.statement, 'ON (TABLE|FUNCTION) /* TEMPLATE: schema */[.](\w+) TO '))[2] <> ALL(v_present)
        AND NOT v_role.is_filtered
    LOOP
      EXECUTE v_statement;
      v_granted := true;
    END LOOP;

    IF v_granted THEN
      RAISE NOTICE USING
        MESSAGE = 'oban-workflows: granted ' || v_role.name || ' what goes with its rights on oban_jobs, those of '
          || CASE v_role.kind WHEN 'enqueuer' THEN 'an ' ELSE 'a ' END || v_role.kind;
    ELSIF v_role.is_filtered THEN
      RAISE NOTICE USING
        MESSAGE = 'oban-workflows: granted ' || v_role.name || ' nothing, as row level security limits what it sees of oban_jobs;'
          || ' for workflows it needs: oban-workflows install --grant-' || v_role.kind || ' ' || v_role.name;
    END IF;
  END LOOP;
END;
$rights$;

SELECT set_config('client_min_messages', current_setting('oban_workflows.client_min_messages'), true);
