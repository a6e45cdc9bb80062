-- The data that the contexts of some jobs are built from, without the parts whose versions the caller knows.
SELECT
  part, job, group_key, is_gated, contexts_version, gate_version, context, id, parent, name, kind, value, error
FROM
  /* TEMPLATE: schema */oban_workflow_contexts_v3(
    %(ids)s::bigint[], %(known)s::bigint[], %(contexts)s::text[], %(gates)s::text[]
  )
