-- A member, then what it waits for or what broke it, and so on to the first cause: at each link the one that
-- tells most. A group leads to a member of its own, a job to its upstream or through the gate of its group;
-- that gate is a step of its own, and not shown.
WITH RECURSIVE chain AS (
  SELECT
    m.id,
    false AS gate,
    0 AS depth,
    s.state,
    COALESCE(s.state IN ('cancelled', 'discarded', 'deleted'), false) AS broken,
    s.error,
    s.caused
  FROM
    /* TEMPLATE: schema */oban_workflow_groups h
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = h.key
    LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.id
    LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
    CROSS JOIN LATERAL (
      SELECT
        COALESCE(j.state::text, g.state, m.gone) AS state,
        to_jsonb(j.errors) -> -1 ->> 'error' AS error,
        COALESCE(starts_with(to_jsonb(j.errors) -> -1 ->> 'error', 'cancelled because upstream '), false) AS caused
    ) s
  WHERE
    h.id = %(id)s
    AND m.name = %(name)s
  UNION ALL
  SELECT
    next.id, next.gate, chain.depth + 1, next.state, next.broken, next.error, next.caused
  FROM
    chain
    CROSS JOIN LATERAL (
      SELECT
        c.id,
        c.gate,
        CASE WHEN c.gate THEN chain.state ELSE s.state END AS state,
        CASE WHEN c.gate THEN chain.broken ELSE s.state IN ('cancelled', 'discarded', 'deleted') END AS broken,
        s.error,
        s.caused
      FROM
        (
          SELECT
            m.id, false AS gate, true AS inside, false AS ignore_cancelled, false AS ignore_discarded
          FROM
            /* TEMPLATE: schema */oban_workflow_members m
          WHERE
            m.group_key = chain.id
            AND NOT chain.gate
          UNION ALL
          SELECT
            e.upstream, false, false, d.ignore_cancelled, d.ignore_discarded
          FROM
            /* TEMPLATE: schema */oban_workflow_members d
            JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.downstream = d.id
          WHERE
            d.id = chain.id
            AND (chain.id > 0 OR chain.gate)
          UNION ALL
          SELECT
            d.group_key, true, false, false, false
          FROM
            /* TEMPLATE: schema */oban_workflow_members d
          WHERE
            d.id = chain.id
            AND d.gated
            AND (chain.id > 0 OR chain.gate)
          UNION ALL
          SELECT
            chain.id, true, false, false, false
          WHERE
            chain.id < 0
            AND NOT chain.gate
        ) c
        CROSS JOIN LATERAL (
          SELECT
            COALESCE(j.state::text, g.state, m.gone) AS state,
            to_jsonb(j.errors) -> -1 ->> 'error' AS error,
            COALESCE(starts_with(to_jsonb(j.errors) -> -1 ->> 'error', 'cancelled because upstream '), false) AS caused
          FROM
            /* TEMPLATE: schema */oban_workflow_members m
            LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.id
            LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
          WHERE
            m.id = c.id
          -- keeps the planner on the primary keys: at each link there are few, in the tables very many
          OFFSET 0
        ) s
        CROSS JOIN LATERAL (
          SELECT
            starts_with(
              chain.error, 'cancelled because upstream ' || /* TEMPLATE: schema */oban_workflow_describe(c.id) || ' was '
            ) IS TRUE AS named,
            /* TEMPLATE: schema */oban_workflow_breaks(s.state, c.ignore_cancelled, c.ignore_discarded) AS breaks,
            /* TEMPLATE: schema */oban_workflow_satisfies(s.state, c.ignore_cancelled, c.ignore_discarded) AS satisfies
        ) d
      WHERE
        c.gate
        OR CASE
          WHEN chain.broken THEN d.breaks
          WHEN c.inside THEN s.state NOT IN ('completed', 'cancelled', 'discarded', 'deleted')
          ELSE NOT d.satisfies
        END
      ORDER BY
        c.gate,
        c.inside AND s.state <> chain.state,
        d.named DESC,
        d.breaks DESC,
        s.caused,
        s.state = 'suspended',
        c.id < 0,
        abs(c.id)
      LIMIT
        1
    ) next
  WHERE
    chain.id < 0 AND (chain.gate OR chain.state <> 'completed')
    OR chain.state = 'suspended'
    OR chain.caused
)
SELECT
  /* TEMPLATE: schema */oban_workflow_path(m.id) AS path,
  COALESCE(g.kind, 'job') AS kind,
  chain.state,
  j.queue,
  j.attempt,
  j.max_attempts,
  j.scheduled_at,
  j.attempted_at,
  CASE chain.state
    WHEN 'completed' THEN j.completed_at
    WHEN 'cancelled' THEN j.cancelled_at
    WHEN 'discarded' THEN j.discarded_at
  END AS settled_at,
  j.attempted_by[1] AS node,
  p.nodes,
  p.paused,
  EXISTS (
    SELECT FROM /* TEMPLATE: schema */oban_producers o WHERE o.uuid::text = j.attempted_by[2]
  ) AS alive,
  chain.error,
  chain.caused
FROM
  chain
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = chain.id
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = chain.id
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = chain.id
  CROSS JOIN LATERAL (
    SELECT
      count(*) FILTER (WHERE NOT q.paused)::int AS nodes,
      count(*) FILTER (WHERE q.paused)::int AS paused
    FROM (
      SELECT
        COALESCE((o.meta ->> 'paused')::boolean, false) AS paused
      FROM
        /* TEMPLATE: schema */oban_producers o
      WHERE
        o.queue = j.queue
        -- as oban does: one that has not been refreshed for a minute is gone
        AND o.updated_at > timezone('UTC', now()) - interval '60 seconds'
    ) q
  ) p
WHERE
  NOT chain.gate
ORDER BY
  chain.depth
