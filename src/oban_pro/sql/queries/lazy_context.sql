-- The data that the context of one job is built from, without the results that are in groups.
SELECT
  reader, id, parent, name, kind, value
FROM
  /* TEMPLATE: schema */oban_workflow_lazy_context_v1(%(job)s)
