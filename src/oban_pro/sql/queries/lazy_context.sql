-- The data that the context of one job is built from, without the results that are in groups.
SELECT
  context, id, parent, name, kind, value, error
FROM
  /* TEMPLATE: schema */oban_workflow_lazy_context_v2(%(job)s)
