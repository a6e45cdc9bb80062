-- What a page draws of a workflow: the members of every open group, of each group up to the limit. They are in order,
-- groups before jobs, from where the reader is: "since", "after" or "before" a member, else from where something failed
-- or runs. Beside those are some "extra" ones: the job that the reader looks at with those next to it, and of a fan-out
-- what failed or runs and the critical path, or instead of those the ones that the page has drawn before, as "keep".
-- A small group with few beside it is open unless shut, any other shut unless opened. Of groups, and of jobs that ran
-- more than once, it tells when they were released. OFFSET 0: see PLANS.md.
WITH RECURSIVE near AS (
  SELECT
    %(near)s::bigint AS id
  UNION ALL
  (SELECT upstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = %(near)s::bigint LIMIT 30)
  UNION ALL
  (SELECT downstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE upstream = %(near)s::bigint LIMIT 30)
),
shown AS (
  SELECT
    g.key AS id, NULL::bigint AS parent, g.name, 0 AS depth, true AS open, g.subs, g.kind, g.total + g.subs AS size, NULL AS extra
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    member.id, shown.id, member.name, shown.depth + 1, member.open, member.subs, member.kind, member.size, member.extra
  FROM
    shown
    CROSS JOIN LATERAL (
      SELECT
        %(windows)s::jsonb -> shown.id::text AS asked,
        (%(windows)s::jsonb -> shown.id::text ->> 'after')::bigint AS after,
        (%(windows)s::jsonb -> shown.id::text ->> 'before')::bigint AS before,
        shown.size > %(limit)s AND NOT %(windows)s::jsonb ? shown.id::text AS is_new
    ) at
    LEFT JOIN LATERAL (
      -- a little before the first that failed, or else that runs
      SELECT
        earlier.id
      FROM
        (
          SELECT
            m.id
          FROM
            /* TEMPLATE: schema */oban_workflow_members m
            CROSS JOIN LATERAL (
              SELECT state FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
            ) j
          WHERE
            at.is_new
            AND shown.kind <> 'fan_out'
            AND m.group_key = shown.id
            AND m.id > 0
            AND j.state IN ('discarded', 'retryable', 'executing')
          ORDER BY
            j.state = 'executing', m.id
          LIMIT
            1
        ) eventful
        JOIN /* TEMPLATE: schema */oban_workflow_members earlier
          ON earlier.group_key = shown.id AND earlier.id BETWEEN 1 AND eventful.id
      ORDER BY
        earlier.id DESC
      OFFSET
        20
      LIMIT
        1
    ) eventful ON true
    CROSS JOIN LATERAL (
      SELECT COALESCE((at.asked ->> 'since')::bigint, eventful.id) AS id
    ) start
    CROSS JOIN LATERAL (
      SELECT
        found.id,
        CASE WHEN NOT bool_or(found.extra = '') THEN min(found.extra) END AS extra
      FROM
        (
          (
            SELECT
              m.id, '' AS extra
            FROM
              /* TEMPLATE: schema */oban_workflow_members m
            WHERE
              m.group_key = shown.id
              AND CASE
                WHEN at.before IS NOT NULL THEN (m.id > 0, abs(m.id)) < (at.before > 0, abs(at.before))
                WHEN at.after IS NOT NULL THEN (m.id > 0, abs(m.id)) > (at.after > 0, abs(at.after))
                WHEN start.id IS NOT NULL THEN (m.id > 0, abs(m.id)) >= (start.id > 0, abs(start.id))
                ELSE true
              END
            ORDER BY
              (m.id > 0) = (at.before IS NULL),
              CASE WHEN at.before IS NULL THEN abs(m.id) ELSE -abs(m.id) END
            LIMIT
              %(limit)s
          )
          UNION ALL
          SELECT
            near.id, 'near'
          FROM
            near
          UNION ALL
          SELECT
            keep.id::bigint, 'kept'
          FROM
            jsonb_array_elements_text(at.asked -> 'keep') keep(id)
          UNION ALL
          SELECT
            p.id, 'kept'
          FROM
            unnest(%(path)s::bigint[]) p(id)
          WHERE
            at.is_new
            AND shown.kind = 'fan_out'
          UNION ALL
          (
            SELECT
              m.id, 'kept'
            FROM
              /* TEMPLATE: schema */oban_workflow_members m
              CROSS JOIN LATERAL (
                SELECT state FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
              ) j
            WHERE
              m.group_key = shown.id
              AND at.is_new
              AND shown.kind = 'fan_out'
              AND j.state IN ('discarded', 'retryable', 'executing')
            ORDER BY
              j.state = 'executing', m.id
            LIMIT
              30
          )
        ) found
      GROUP BY
        found.id
    ) picked
    CROSS JOIN LATERAL (
      SELECT
        m.id,
        m.name,
        picked.extra,
        g.subs,
        g.kind,
        g.total + g.subs AS size,
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
        (
          SELECT * FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = picked.id OFFSET 0
        ) m
        LEFT JOIN LATERAL (
          SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id OFFSET 0
        ) g ON true
      WHERE
        m.group_key = shown.id
    ) member
  WHERE
    shown.open
)
SELECT
  shown.id,
  shown.parent,
  shown.name,
  shown.open,
  shown.extra,
  COALESCE(g.kind, 'job') AS kind,
  COALESCE(/* TEMPLATE: schema */oban_workflow_job_state_v1(j.state::text, j.attempt, j.meta), g.state, m.gone, 'unknown') AS state,
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
  COALESCE(j.meta ? 'final', false) AS is_final,
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
      bool_or(NOT /* TEMPLATE: schema */oban_workflow_is_settled_v1(COALESCE(u.state::text, w.state))) AS held
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
