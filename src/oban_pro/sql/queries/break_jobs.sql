-- Cancel jobs that were just added and depend on something that broke before.
SELECT
  /* TEMPLATE: schema */oban_workflow_break_jobs_v2(%(ids)s::bigint[], %(upstreams)s::bigint[], %(causes)s::text[])
