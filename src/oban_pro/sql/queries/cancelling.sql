-- The open jobs that a call is going to cancel, each once, however many of the given parts of a workflow hold it.
SELECT
  COALESCE(array_agg(DISTINCT j.id), '{}') AS ids
FROM
  json_to_recordset(%(parts)s::json) AS part(workflow_id text, names text[])
  CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_cancelling_v1(part.workflow_id, part.names, %(finals)s) AS j(id)
