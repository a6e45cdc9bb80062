-- What the contexts of some jobs are made of, without what is known of it.
SELECT
  reader, id, parent, name, kind, value
FROM
  /* TEMPLATE: schema */oban_workflow_contexts_v2(%(jobs)s::bigint[], %(known)s::bigint[], %(versions)s::text[])
