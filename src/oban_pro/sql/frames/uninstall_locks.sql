SELECT
  relname::text AS relation, 'ACCESS EXCLUSIVE' AS mode
FROM
  pg_class
WHERE
  relnamespace = to_regnamespace('/* TEMPLATE: schema */')
  AND relkind IN ('r', 'p')
  AND (relname IN ('oban_jobs', 'oban_producers') OR starts_with(relname, 'oban_workflow_'))
  AND to_regclass('/* TEMPLATE: schema */.oban_workflow_migrations') IS NOT NULL
