-- A workflow and everything nested in it, for drawing: the workflow itself first, groups before what is in them.
-- OFFSET 0: see PLANS.md.
WITH RECURSIVE nodes AS (
  SELECT
    g.key AS id, NULL::bigint AS parent, g.name, 0 AS depth
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
    AND NOT /* TEMPLATE: schema */oban_workflow_is_free_v1(g.root)
  UNION ALL
  SELECT
    m.id, m.group_key, m.name, nodes.depth + 1
  FROM
    nodes
    CROSS JOIN LATERAL (
      SELECT * FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = nodes.id OFFSET 0
    ) m
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
  COALESCE(/* TEMPLATE: schema */oban_workflow_job_state_v1(j.state::text, j.attempt, j.meta), m.gone, 'unknown') AS state,
  ARRAY(
    SELECT
      COALESCE(before.upstream, e.upstream) AS id
    FROM
      /* TEMPLATE: schema */oban_workflow_edges e
      -- in place of the judge of a group stands what the judge waits for
      LEFT JOIN LATERAL (
        SELECT upstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = e.upstream AND e.judges OFFSET 0
      ) before ON true
    WHERE
      e.downstream = nodes.id
      AND nodes.parent IS NOT NULL
    ORDER BY
      abs(COALESCE(before.upstream, e.upstream))
  ) AS upstreams,
  CASE
    WHEN (
      SELECT
        root.rules & 2 > 0
      FROM
        /* TEMPLATE: schema */oban_workflow_groups o
        JOIN /* TEMPLATE: schema */oban_workflow_groups root ON root.key = o.root
      WHERE
        o.id = %(id)s
    ) THEN (SELECT need FROM /* TEMPLATE: schema */oban_workflow_joins WHERE id = nodes.id)
  END AS need,
  g.tolerates,
  g.fail_fast,
  j.meta ? 'final' AS is_final
FROM
  nodes
  LEFT JOIN LATERAL (
    SELECT kind, tolerates, fail_fast FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = nodes.id OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT gone FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = nodes.id OFFSET 0
  ) m ON true
  LEFT JOIN LATERAL (
    SELECT worker, meta, state, attempt FROM /* TEMPLATE: schema */oban_jobs WHERE id = nodes.id OFFSET 0
  ) j ON true
ORDER BY
  nodes.depth, abs(nodes.id)
