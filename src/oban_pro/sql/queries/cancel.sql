-- Cancel the open jobs of a workflow, or of some of its members; returns how many.
SELECT
  /* TEMPLATE: schema */oban_workflow_cancel(%(id)s, %(names)s::text[]) AS cancelled
