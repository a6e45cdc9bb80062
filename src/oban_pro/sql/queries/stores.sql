-- The stores that workflows name.
SELECT DISTINCT
  store
FROM
  /* TEMPLATE: schema */oban_workflow_groups
WHERE
  store IS NOT NULL
