-- Which version of the package made the functions, and what it says about the nodes that may call them.
SELECT
  i.package, i.release, i.digest, i.tables, i.oldest
FROM
  /* TEMPLATE: schema */oban_workflow_installed_v1() i
