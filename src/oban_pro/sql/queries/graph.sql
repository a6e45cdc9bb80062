-- A workflow and everything nested in it, for drawing: the workflow itself first, groups before what is in them.
WITH RECURSIVE nodes AS (
  SELECT
    g.key AS id, NULL::bigint AS parent, g.name, 0 AS depth
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    m.id, m.group_key, m.name, nodes.depth + 1
  FROM
    nodes
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = nodes.id
  WHERE
    nodes.id < 0
)
SELECT
  nodes.id,
  nodes.parent,
  nodes.name,
  COALESCE(g.kind, 'job') AS kind,
  j.worker,
  j.meta ->> 'handler' AS handler,
  COALESCE(j.state::text, m.gone) AS state,
  ARRAY(
    SELECT
      e.upstream
    FROM
      /* TEMPLATE: schema */oban_workflow_edges e
    WHERE
      e.downstream = nodes.id
      AND nodes.parent IS NOT NULL
    ORDER BY
      abs(e.upstream)
  ) AS upstreams
FROM
  nodes
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = nodes.id
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = nodes.id
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = nodes.id
ORDER BY
  nodes.depth, abs(nodes.id)
