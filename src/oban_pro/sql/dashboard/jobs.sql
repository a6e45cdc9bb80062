-- A page of the jobs of a workflow and of all nested in it, by id: those of one group, with a text in their path,
-- in one state. If a job is asked for, it is the page which has that job. OFFSET 0: see PLANS.md.
WITH RECURSIVE tree AS (
  SELECT
    g.key, '{}'::text[] AS path, ARRAY[g.key] AS groups
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key, tree.path || m.name, g.key || tree.groups
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.parent = tree.key
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = g.key
),
found AS (
  SELECT
    m.id,
    tree.groups,
    array_to_string(tree.path || m.name, ' / ') AS path,
    m.gone,
    COALESCE(j.state::text, m.gone, 'unknown') AS state
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT
        *
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = tree.key
        AND id > 0
      OFFSET
        0
    ) m
    LEFT JOIN LATERAL (
      SELECT state FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
    ) j ON %(state)s::text IS NOT NULL
  WHERE
    (%(group)s::bigint IS NULL OR %(group)s::bigint = ANY(tree.groups))
),
placed AS MATERIALIZED (
  SELECT
    found.*,
    ((row_number() OVER (ORDER BY found.id) - 1) / %(limit)s::int)::int + 1 AS page,
    (count(*) OVER ())::int AS total
  FROM
    found
  WHERE
    -- a path is found with and without spaces at its slashes
    (
      %(search)s::text IS NULL
      OR strpos(lower(found.path), lower(%(search)s::text)) > 0
      OR strpos(replace(lower(found.path), ' / ', '/'), lower(%(search)s::text)) > 0
    )
    AND (%(state)s::text IS NULL OR found.state = %(state)s::text)
)
SELECT
  placed.id,
  placed.page,
  placed.total,
  placed.path,
  placed.groups,
  COALESCE(j.state::text, placed.gone, 'unknown') AS state,
  j.queue,
  COALESCE(j.meta ->> 'handler', j.worker) AS worker,
  j.attempt,
  j.max_attempts,
  j.scheduled_at,
  j.attempted_at,
  COALESCE(j.completed_at, j.cancelled_at, j.discarded_at) AS settled_at,
  CASE
    WHEN j.state IN ('retryable', 'cancelled', 'discarded') THEN left(to_jsonb(j.errors) -> -1 ->> 'error', %(most)s)
  END AS error,
  w.kind AS wait_kind,
  w.since AS wait_since,
  w.until AS wait_until,
  w.wanted AS wait_wanted,
  w.came AS wait_came,
  w.senders AS wait_senders,
  w.choices AS wait_choices,
  w.call AS wait_call
FROM
  placed
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = placed.id OFFSET 0
  ) j ON true
  -- a row of another kind asks nothing more
  LEFT JOIN LATERAL (
    SELECT
      *
    FROM
      /* TEMPLATE: schema */oban_workflow_waiting_v1(placed.id)
    WHERE
      (j.state = 'suspended' AND j.worker IN ('oban_pro.workers.SignalWait', 'oban_pro.workers.TimerWait'))
      OR (j.state = 'scheduled' AND j.meta ? 'wait')
  ) w ON true
WHERE
  placed.page = COALESCE(
    (SELECT page FROM placed WHERE id = %(job)s::bigint),
    LEAST(%(page)s::int, (SELECT max(page) FROM placed))
  )
ORDER BY
  placed.id
