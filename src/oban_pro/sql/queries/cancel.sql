-- Cancel the open jobs of a workflow, or of some of its members; its final jobs only if told
-- so. Returns how many.
SELECT
  /* TEMPLATE: schema */oban_workflow_cancel_v2(%(id)s, %(names)s::text[], %(finals)s) AS cancelled
