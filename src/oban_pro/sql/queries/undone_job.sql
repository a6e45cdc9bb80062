-- A job that is undone. What it recorded after it had been cancelled is its result for what undoes it, and for nobody else.
SELECT
  (jsonb_populate_record(
    j, jsonb_build_object('meta', j.meta || CASE WHEN u.late IS NULL THEN '{}' ELSE jsonb_build_object('recorded', true, 'return', u.late) END)
  )).*
FROM
  /* TEMPLATE: schema */oban_jobs j
  JOIN /* TEMPLATE: schema */oban_workflow_undos u ON u.id = j.id
WHERE
  j.id = %(id)s
