-- A member, then the member that it waits for or that broke it, and so on to the first cause. If there are several, each
-- link is the one that explains most. A group leads to one of its members. A job leads to its upstream, or through the gate
-- of its group, which is a step of its own that is not shown. A final job leads to what else is open in its workflow. A job
-- for which nothing is pending leads to the execution that it follows.
WITH RECURSIVE chain AS (
  SELECT
    m.id,
    false AS gate,
    0 AS depth,
    s.state,
    COALESCE(s.state IN ('cancelled', 'discarded', 'deleted'), false) AS broken,
    s.error,
    s.upstream,
    h.root,
    (SELECT rules FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = h.root) AS rules
  FROM
    /* TEMPLATE: schema */oban_workflow_groups h
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = h.key
    LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.id
    LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
    CROSS JOIN LATERAL (
      SELECT
        COALESCE(j.state::text, g.state, m.gone, 'unknown') AS state,
        to_jsonb(j.errors) -> -1 ->> 'error' AS error,
        /* TEMPLATE: schema */oban_workflow_upstream_v1(to_jsonb(j.errors)) AS upstream
    ) s
  WHERE
    h.id = %(id)s
    AND m.name = %(name)s
    AND NOT /* TEMPLATE: schema */oban_workflow_is_free_v1(h.root)
  UNION ALL
  SELECT
    next.id, next.gate, chain.depth + 1, next.state, next.broken, next.error, next.upstream, chain.root, chain.rules
  FROM
    chain
    CROSS JOIN LATERAL (
      SELECT
        c.id,
        c.gate,
        CASE WHEN c.gate THEN chain.state ELSE s.state END AS state,
        CASE WHEN c.gate THEN chain.broken ELSE s.state IN ('cancelled', 'discarded', 'deleted') END AS broken,
        s.error,
        s.upstream
      FROM
        (
          SELECT
            m.id, false AS gate, true AS inside, false AS ignore_cancelled, false AS ignore_discarded
          FROM
            /* TEMPLATE: schema */oban_workflow_telling_members_v1(chain.id, chain.broken) AS m(id)
          WHERE
            chain.id < 0
            AND NOT chain.gate
          UNION ALL
          SELECT
            e.upstream, false, false, d.ignore_cancelled, d.ignore_discarded
          FROM
            /* TEMPLATE: schema */oban_workflow_members d
            CROSS JOIN LATERAL (
              SELECT upstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = d.id OFFSET 0
            ) e
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
          UNION ALL
          -- what a final job waits for
          SELECT
            m.id, false, true, false, false
          FROM
            /* TEMPLATE: schema */oban_workflow_finals f
            CROSS JOIN LATERAL (
              SELECT id FROM /* TEMPLATE: schema */oban_workflow_telling_members_v1(f.group_key, false) AS t(id)
            ) m
          WHERE
            chain.rules & 16 > 0
            AND chain.id > 0
            AND chain.state = 'suspended'
            AND f.id = chain.id
            AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_finals o WHERE o.id = m.id)
          UNION ALL
          SELECT
            f.id, false, NULL, false, false
          FROM
            /* TEMPLATE: schema */oban_workflow_followed_v1(chain.id, chain.root) AS f(id)
          WHERE
            chain.rules & 128 > 0
            AND chain.id > 0
            AND chain.state = 'suspended'
        ) c
        CROSS JOIN LATERAL (
          SELECT
            COALESCE(j.state::text, g.state, m.gone, 'unknown') AS state,
            to_jsonb(j.errors) -> -1 ->> 'error' AS error,
            /* TEMPLATE: schema */oban_workflow_upstream_v1(to_jsonb(j.errors)) AS upstream
          FROM
            /* TEMPLATE: schema */oban_workflow_members m
            LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.id AND m.id < 0
            LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id AND m.id > 0
          WHERE
            m.id = c.id
          -- see PLANS.md
          OFFSET 0
        ) s
        CROSS JOIN LATERAL (
          SELECT
            (chain.upstream = to_jsonb(c.id)) IS TRUE AS named,
            /* TEMPLATE: schema */oban_workflow_breaks_v1(s.state, c.ignore_cancelled, c.ignore_discarded) AS breaks,
            /* TEMPLATE: schema */oban_workflow_satisfies_v1(s.state, c.ignore_cancelled, c.ignore_discarded) AS satisfies
        ) d
      WHERE
        c.gate
        -- an execution that has not ended
        OR c.inside IS NULL
        OR CASE
          WHEN chain.broken THEN d.breaks
          WHEN c.inside THEN s.state NOT IN ('completed', 'cancelled', 'discarded', 'deleted')
          -- a join waits for what is open, as long as that may be enough
          WHEN d.breaks AND chain.rules & 2 > 0 THEN NOT EXISTS (
            SELECT
            FROM
              /* TEMPLATE: schema */oban_workflow_joins
            WHERE
              id = chain.id
              AND broken <= GREATEST(deps - skipped - need, 0)
          )
          ELSE NOT d.satisfies
        END
      ORDER BY
        c.gate,
        c.inside IS NULL,
        c.inside AND s.state <> chain.state,
        d.named DESC,
        d.breaks DESC,
        s.upstream IS NOT NULL,
        s.state = 'suspended',
        c.id < 0,
        abs(c.id)
      LIMIT
        1
    ) next
  WHERE
    chain.id < 0 AND (chain.gate OR chain.state <> 'completed')
    OR chain.state = 'suspended'
    OR chain.upstream IS NOT NULL
),
producers AS MATERIALIZED (
  SELECT
    uuid, queue, paused
  FROM
    /* TEMPLATE: schema */oban_workflow_live_producers_v1()
)
SELECT
  /* TEMPLATE: schema */oban_workflow_path_v1(m.id) AS path,
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
  CASE WHEN NOT standby THEN p.nodes END AS nodes,
  CASE WHEN NOT standby THEN p.paused END AS paused,
  CASE WHEN NOT standby THEN EXISTS (
    SELECT FROM producers WHERE producers.uuid::text = j.attempted_by[2]
  ) END AS alive,
  chain.error,
  chain.upstream IS NOT NULL AS caused,
  EXISTS (
    SELECT FROM /* TEMPLATE: schema */oban_workflow_unended u WHERE u.id = chain.id
  ) AS unended,
  CASE WHEN chain.state = 'scheduled' THEN j.meta ->> 'unknown_code' END AS unknown_code,
  (
    SELECT
      o.undo_id
    FROM
      /* TEMPLATE: schema */oban_workflow_undos o
    WHERE
      chain.rules & 128 > 0
      AND chain.state = 'suspended'
      AND o.id = chain.id
      AND EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_unended u WHERE u.id = o.undo_id)
  ) AS undo,
  chain.rules & 16 > 0 AND EXISTS (
    SELECT
    FROM
      /* TEMPLATE: schema */oban_workflow_finals f
      JOIN /* TEMPLATE: schema */oban_workflow_ends e ON e.group_key = f.group_key
    WHERE
      f.id = chain.id
      AND e.outcome IS NULL
  ) AS comes_last,
  w.deadline,
  CASE
    WHEN /* TEMPLATE: schema */oban_workflow_was_skipped_v1(j.state::text, j.attempt, j.meta) THEN j.meta ->> 'skipped'
    WHEN chain.state = 'skipped' THEN ''
    WHEN /* TEMPLATE: schema */oban_workflow_group_was_skipped_v2(
      g.key, g.state, g.total, g.subs, g.skipped, g.subs_skipped, g.skips, g.judged
    ) THEN ''
  END AS skipped,
  CASE
    WHEN chain.rules & 256 > 0 AND chain.id < 0 THEN /* TEMPLATE: schema */oban_workflow_failures_v1(chain.id)
  END AS failures,
  j.meta ->> 'turn' AS turn,
  slot.place,
  slot.open,
  slot.max_open,
  slot.released,
  slot.allowed,
  slot.until,
  w.kind,
  w.since,
  w.until,
  w.wanted,
  w.came,
  w.senders,
  w.choices,
  w.call,
  paused.paused_at,
  paused.paused_by,
  paused.until,
  paused.path,
  paused.kind,
  line.behind,
  line.key,
  line.number,
  limits.global_limit,
  limits.allowed,
  limits.period,
  limits.is_divided,
  limits.until
FROM
  chain
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = chain.id
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = chain.id
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = chain.id
  CROSS JOIN LATERAL (
    SELECT
      count(*) FILTER (WHERE NOT producers.paused)::int AS nodes,
      count(*) FILTER (WHERE producers.paused)::int AS paused
    FROM
      producers
    WHERE
      producers.queue = j.queue
  ) p
  -- which producers there are is known on the primary alone
  CROSS JOIN pg_is_in_recovery() AS standby
  LEFT JOIN LATERAL (
    SELECT
      *
    FROM
      /* TEMPLATE: schema */oban_workflow_waiting_v1(chain.id)
    WHERE
      -- waits and clocks; parked jobs
      (chain.rules & 9 > 0 OR (chain.state = 'scheduled' AND j.meta ? 'wait'))
      AND chain.state NOT IN ('completed', 'cancelled', 'discarded', 'deleted', 'unknown')
  ) w ON true
  LEFT JOIN LATERAL (
    SELECT
      *
    FROM
      /* TEMPLATE: schema */oban_workflow_pause_around_v1(chain.id)
    WHERE
      chain.rules & 64 > 0
      AND chain.state IN ('suspended', 'executing')
  ) paused ON true
  LEFT JOIN LATERAL (
    SELECT
      *
    FROM
      /* TEMPLATE: schema */oban_workflow_slot_v2(chain.id)
    WHERE
      chain.rules & 32 > 0
      AND chain.id > 0
      AND chain.state = 'suspended'
  ) slot ON true
  LEFT JOIN LATERAL (
    SELECT
      *
    FROM
      /* TEMPLATE: schema */oban_workflow_line_v1(chain.root)
    WHERE
      chain.rules & 1024 > 0
      AND chain.state IN ('suspended', 'executing')
  ) line ON true
  LEFT JOIN LATERAL (
    SELECT
      q.global_limit,
      q.allowed,
      q.period,
      q.fields IS NOT NULL AS is_divided,
      (
        SELECT
          (b.opened_at + make_interval(secs => q.period)) AT TIME ZONE 'UTC'
        FROM
          /* TEMPLATE: schema */oban_workflow_windows b
        WHERE
          b.queue = q.queue
          AND b.value = 0
          AND q.fields IS NULL
          AND b.started >= q.allowed
      ) AS until
    FROM
      /* TEMPLATE: schema */oban_workflow_queues q
    WHERE
      q.queue = j.queue
      AND chain.state = 'available'
    OFFSET 0
  ) limits ON true
WHERE
  NOT chain.gate
ORDER BY
  chain.depth
