-- Which of some rights in a schema the current role lacks. What does not exist is not missing.
SELECT
  quote_ident(current_user), r.kind, r.name, r.privilege
FROM
  ROWS FROM (
    unnest(%(kinds)s::text[]),
    unnest(%(names)s::text[]),
    unnest(%(privileges)s::text[])
  ) WITH ORDINALITY AS r(kind, name, privilege, n)
  CROSS JOIN pg_namespace s
WHERE
  s.nspname = %(schema)s
  AND NOT CASE r.kind
    WHEN 'SCHEMA' THEN has_schema_privilege(s.oid, r.privilege)
    WHEN 'FUNCTION' THEN COALESCE(
      (SELECT bool_and(has_function_privilege(oid, r.privilege)) FROM pg_proc WHERE pronamespace = s.oid AND proname = r.name),
      true
    )
    ELSE COALESCE(
      (SELECT has_table_privilege(oid, r.privilege) FROM pg_class WHERE relnamespace = s.oid AND relname = r.name),
      true
    )
  END
ORDER BY
  r.n
