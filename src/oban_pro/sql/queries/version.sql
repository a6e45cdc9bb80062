-- The version of the tables: that of the last migration applied.
SELECT
  COALESCE(max(version), 0) AS version
FROM
  /* TEMPLATE: schema */oban_workflow_migrations
