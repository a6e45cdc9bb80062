-- What the contexts of some jobs are made of, in one read. Rows of kind 'reader' tell the group of each job, and
-- whether it waits for the gate of that group. The others belong to a reader: to a job what it depends on by
-- itself; to a group the contexts of its workflow and those around it, root first, and, where a job asks for
-- it, what its gate depends on. Groups come before what is in them. Values that are known are left out.
WITH RECURSIVE readers AS (
  SELECT
    m.id, m.group_key, m.gated
  FROM
    /* TEMPLATE: schema */oban_workflow_members m
  WHERE
    m.id = ANY(%(jobs)s::bigint[])
),
groups AS (
  SELECT
    r.group_key AS key, bool_or(r.gated) AS gated
  FROM
    readers r
  GROUP BY
    r.group_key
),
chain AS (
  SELECT
    groups.key AS reader, g.key, g.parent, g.context, 0 AS height
  FROM
    groups
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = groups.key
  UNION ALL
  SELECT
    chain.reader, g.key, g.parent, g.context, chain.height + 1
  FROM
    chain
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = chain.parent
),
waiting AS (
  SELECT
    r.id AS reader, r.id, r.group_key, false AS gated
  FROM
    readers r
  UNION ALL
  SELECT
    m.id, m.id, m.group_key, m.gated
  FROM
    groups
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = groups.key
  WHERE
    groups.gated
),
gates AS (
  SELECT
    *
  FROM
    waiting
  UNION ALL
  SELECT
    gates.reader, m.id, m.group_key, m.gated
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = gates.group_key
  WHERE
    gates.gated
),
upstream AS (
  SELECT
    gates.reader, e.upstream AS id, NULL::bigint AS parent, 0 AS depth
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.downstream = gates.id
  UNION ALL
  SELECT
    upstream.reader, m.id, m.group_key, upstream.depth + 1
  FROM
    upstream
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = upstream.id
  WHERE
    upstream.id < 0
),
known AS (
  SELECT
    k.id, k.stamp
  FROM
    unnest(%(known)s::bigint[], %(stamps)s::timestamp[]) AS k(id, stamp)
),
sources AS (
  SELECT
    r.id AS reader,
    r.group_key AS id,
    NULL::bigint AS parent,
    '' AS name,
    'reader' AS kind,
    NULL::timestamp AS stamp,
    CASE WHEN r.gated THEN 'gated' END AS value,
    0 AS position
  FROM
    readers r
  UNION ALL
  SELECT
    chain.reader,
    chain.key,
    NULL,
    '',
    'context',
    NULL,
    CASE WHEN chain.key NOT IN (SELECT id FROM known) THEN chain.context::text END,
    -1 - chain.height
  FROM
    chain
  WHERE
    chain.context IS NOT NULL
  UNION ALL
  SELECT
    u.reader,
    u.id,
    u.parent,
    m.name,
    COALESCE(g.kind, 'job'),
    j.completed_at,
    CASE WHEN (u.id, j.completed_at) NOT IN (SELECT id, stamp FROM known WHERE stamp IS NOT NULL) THEN j.meta ->> 'return' END,
    u.depth
  FROM
    upstream u
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = u.id
    LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = u.id
    LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = u.id
  WHERE
    g.key IS NOT NULL
    OR (j.state = 'completed' AND j.meta -> 'recorded' = 'true')
)
SELECT
  reader, id, parent, name, kind, stamp, value
FROM
  sources
ORDER BY
  position, abs(id)
