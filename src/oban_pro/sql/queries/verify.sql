-- Which parts of an installation exist: our ledger of migrations, a relation with the name of the public view, and the
-- function that says what is installed; and whether the current role may read the ledger. It asks the catalog, because a
-- name in a schema that the role may not use would raise.
SELECT
  bool_or(c.relname = 'oban_workflow_migrations') IS TRUE AS ledger,
  bool_or(c.relname = 'oban_workflows') IS TRUE AS workflows,
  bool_or(
    c.relname = 'oban_workflow_migrations'
    AND has_schema_privilege(c.relnamespace, 'USAGE')
    AND has_table_privilege(c.oid, 'SELECT')
  ) IS TRUE AS may_read,
  EXISTS (
    SELECT
    FROM
      pg_proc
    WHERE
      pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = rtrim('/* TEMPLATE: schema */', '.'))
      AND proname = 'oban_workflow_installed_v1'
  ) AS is_recorded
FROM
  pg_class c
WHERE
  c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = rtrim('/* TEMPLATE: schema */', '.'))
  AND c.relname IN ('oban_workflow_migrations', 'oban_workflows')
