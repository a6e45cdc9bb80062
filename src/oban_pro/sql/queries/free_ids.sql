-- Free the ids of workflows without any job left; returns the ids that stay taken, each root with the number of its jobs.
SELECT
  id, jobs
FROM
  /* TEMPLATE: schema */oban_workflow_free_ids_v1(%(ids)s::text[])
