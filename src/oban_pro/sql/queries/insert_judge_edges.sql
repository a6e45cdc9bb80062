-- Insert edges from judges: to the groups that they judge, and to what waits for these beside their gates.
INSERT INTO /* TEMPLATE: schema */oban_workflow_edges (
  upstream, downstream, judges
)
SELECT
  r.upstream, r.downstream, true
FROM
  ROWS FROM (
    unnest(%(upstreams)s::bigint[]),
    unnest(%(downstreams)s::bigint[])
  ) AS r(upstream, downstream)
