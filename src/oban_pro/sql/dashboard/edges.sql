-- Edges that start or end at one of some members; an end that is none of them is null. If a fan-out runs along another one,
-- item by item, there is one between the two.
SELECT DISTINCT
  CASE WHEN e.upstream = ANY(%(ids)s::bigint[]) THEN e.upstream END AS upstream,
  CASE WHEN e.downstream = ANY(%(ids)s::bigint[]) THEN e.downstream END AS downstream
FROM
  (
    SELECT
      upstream, downstream
    FROM
      /* TEMPLATE: schema */oban_workflow_edges
    WHERE
      upstream = ANY(%(ids)s::bigint[])
      -- a judge is within what it judges
      AND judges IS NOT TRUE
    UNION ALL
    SELECT
      upstream, downstream
    FROM
      /* TEMPLATE: schema */oban_workflow_edges
    WHERE
      downstream = ANY(%(ids)s::bigint[])
      AND judges IS NOT TRUE
    UNION ALL
    SELECT
      along.key, g.key
    FROM
      unnest(%(ids)s::bigint[]) AS g(key)
      CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_along_v1(g.key) AS along(key)
    WHERE
      g.key < 0
      AND along.key = ANY(%(ids)s::bigint[])
  ) e
