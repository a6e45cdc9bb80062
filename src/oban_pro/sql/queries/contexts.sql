-- The data that the contexts of some jobs are built from, without the rows of groups whose versions the caller knows.
SELECT
  reader, id, parent, name, kind, value
FROM
  /* TEMPLATE: schema */oban_workflow_contexts_v2(%(jobs)s::bigint[], %(known)s::bigint[], %(versions)s::text[])
