-- Why the current role cannot install: another role owns oban_jobs, or the current role may create no schema, or no tables
-- in it.
SELECT
  quote_ident(current_user),
  (
    SELECT
      quote_ident(pg_get_userbyid(relowner))
    FROM
      pg_class
    WHERE
      relnamespace = s.oid
      AND relname = 'oban_jobs'
      AND NOT pg_has_role(relowner, 'USAGE')
  ),
  CASE
    WHEN s.oid IS NULL THEN 'GRANT CREATE ON DATABASE ' || quote_ident(current_database())
    WHEN NOT has_schema_privilege(s.oid, 'USAGE') THEN 'GRANT USAGE, CREATE ON SCHEMA ' || quote_ident(s.nspname)
    WHEN NOT has_schema_privilege(s.oid, 'CREATE') THEN 'GRANT CREATE ON SCHEMA ' || quote_ident(s.nspname)
  END || ' TO ' || quote_ident(current_user)
FROM
  (VALUES (%(schema)s)) AS p(name)
  LEFT JOIN pg_namespace s ON s.nspname = p.name
