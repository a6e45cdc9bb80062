-- Which relations are there: our ledger, and whatever bears the public name.
SELECT
  to_regclass('/* TEMPLATE: schema */oban_workflow_migrations') IS NOT NULL AS ledger,
  to_regclass('/* TEMPLATE: schema */oban_workflows') IS NOT NULL AS workflows
