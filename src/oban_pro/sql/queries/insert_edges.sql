-- Insert edges between members: positive ids are jobs, negative ones keys of groups.
INSERT INTO /* TEMPLATE: schema */oban_workflow_edges (
  upstream, downstream
)
SELECT
  r.upstream, r.downstream
FROM
  ROWS FROM (
    unnest(%(upstreams)s::bigint[]),
    unnest(%(downstreams)s::bigint[])
  ) AS r(upstream, downstream)
