-- What a page draws of a workflow: the members of every group that is open, so many of each at most: groups first,
-- then jobs that failed or run, then the critical path. A small group with few beside it is open unless shut, any
-- other shut unless opened. Of groups, and of jobs that ran more than once, it tells when they were released.
-- OFFSET 0: see PLANS.md.
WITH RECURSIVE shown AS (
  SELECT
    g.key AS id, NULL::bigint AS parent, g.name, 0 AS depth, true AS open, g.subs
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    member.id, shown.id, member.name, shown.depth + 1, member.open, member.subs
  FROM
    shown
    CROSS JOIN LATERAL (
      SELECT
        m.id,
        m.name,
        g.subs,
        COALESCE(
          m.id = ANY(%(opened)s::bigint[])
          OR (
            g.kind <> 'fan_out'
            AND g.total + g.subs <= 30
            AND shown.subs <= 12
            AND shown.depth < 3
            AND m.id <> ALL(%(shut)s::bigint[])
          ),
          false
        ) AS open
      FROM
        /* TEMPLATE: schema */oban_workflow_members m
        LEFT JOIN LATERAL (
          SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id OFFSET 0
        ) g ON true
        LEFT JOIN LATERAL (
          SELECT state FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
        ) j ON true
      WHERE
        m.group_key = shown.id
      ORDER BY
        m.id > 0,
        j.state NOT IN ('discarded', 'retryable', 'executing'),
        NOT COALESCE(m.id = ANY(%(path)s::bigint[]), false),
        abs(m.id)
      LIMIT
        %(limit)s
    ) member
  WHERE
    shown.open
)
SELECT
  shown.id,
  shown.parent,
  shown.name,
  shown.open,
  COALESCE(g.kind, 'job') AS kind,
  CASE
    WHEN /* TEMPLATE: schema */oban_workflow_was_skipped_v1(j.state::text, j.attempt, j.meta) THEN 'skipped'
    ELSE COALESCE(j.state::text, g.state, m.gone, 'unknown')
  END AS state,
  g.id AS workflow_id,
  j.queue,
  COALESCE(j.meta ->> 'handler', j.worker) AS worker,
  COALESCE(j.attempt, 0) AS attempt,
  COALESCE(j.max_attempts, 0) AS max_attempts,
  COALESCE(j.inserted_at, g.inserted_at) AS inserted_at,
  j.scheduled_at,
  j.attempted_at,
  COALESCE(j.completed_at, j.cancelled_at, j.discarded_at) AS settled_at,
  upstream.released_at,
  COALESCE(upstream.held, false) AS held,
  jsonb_path_query_array(to_jsonb(j.errors), '$[*] ? (@.attempt > 0).at') AS failed_at,
  COALESCE(j.worker IN ('oban_pro.workers.SignalWait', 'oban_pro.workers.TimerWait'), false) AS is_wait,
  w.kind AS wait_kind,
  w.since AS wait_since,
  w.until AS wait_until,
  w.wanted AS wait_wanted,
  w.came AS wait_came,
  w.senders AS wait_senders,
  w.choices AS wait_choices,
  w.call AS wait_call
FROM
  shown
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = shown.id OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT gone FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = shown.id OFFSET 0
  ) m ON true
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = shown.id OFFSET 0
  ) j ON true
  LEFT JOIN LATERAL (
    SELECT
      max(COALESCE(u.completed_at, u.cancelled_at, u.discarded_at, w.stopped_at)) AS released_at,
      bool_or(COALESCE(u.state::text, w.state) NOT IN ('completed', 'cancelled', 'discarded')) AS held
    FROM
      /* TEMPLATE: schema */oban_workflow_edges e
      LEFT JOIN LATERAL (
        SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = e.upstream OFFSET 0
      ) u ON true
      LEFT JOIN LATERAL (
        SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = e.upstream OFFSET 0
      ) w ON true
    WHERE
      e.downstream = shown.id
  ) upstream ON shown.id < 0 OR j.attempt > 1
  -- a row of another kind asks nothing more
  LEFT JOIN LATERAL (
    SELECT
      *
    FROM
      /* TEMPLATE: schema */oban_workflow_waiting_v1(shown.id)
    WHERE
      (j.state = 'suspended' AND j.worker IN ('oban_pro.workers.SignalWait', 'oban_pro.workers.TimerWait'))
      OR (j.state = 'scheduled' AND j.meta ? 'wait')
  ) w ON true
ORDER BY
  shown.depth, abs(shown.id)
