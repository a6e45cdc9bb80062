-- Insert edges from the judge of each group: to the group, and to members that wait for the judge by an edge of their own
-- and not behind the gate of the group.
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
