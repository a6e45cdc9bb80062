-- Insert jobs as insert_jobs does, some of which have a source: a completed job whose result stands for theirs. These are
-- inserted as completed, with what that job recorded, or with a reference to a copy of that. OFFSET 0: see PLANS.md.
WITH shapes AS MATERIALIZED (
  SELECT
    *, CASE WHEN reused IS NULL THEN '{}' ELSE jsonb_build_object('reused', reused) END AS origin
  FROM
    json_to_recordset(%(shapes)s::json) AS s(
      n integer,
      meta jsonb,
      inserted_at timestamp,
      max_attempts smallint,
      priority smallint,
      queue text,
      scheduled_at timestamp,
      state /* TEMPLATE: schema */oban_job_state,
      tags text[],
      worker text,
      reused text
    )
),
inserted AS (
  INSERT INTO /* TEMPLATE: schema */oban_jobs (
    id, args, inserted_at, max_attempts, meta, priority, queue, scheduled_at, state, tags, worker, completed_at
  ) OVERRIDING SYSTEM VALUE
  SELECT
    r.id,
    r.args,
    s.inserted_at,
    s.max_attempts,
    CASE WHEN s.meta IS NULL THEN r.meta ELSE jsonb_set(s.meta, '{name}', r.meta) END || s.origin || COALESCE(source.meta, '{}'),
    s.priority,
    s.queue,
    s.scheduled_at,
    s.state,
    s.tags,
    s.worker,
    CASE WHEN s.state = 'completed' THEN timezone('UTC', now()) END
  FROM
    ROWS FROM (
      unnest(%(ids)s::bigint[]),
      unnest(%(numbers)s::integer[]),
      jsonb_array_elements(%(args)s::jsonb),
      jsonb_array_elements(%(metas)s::jsonb),
      unnest(%(sources)s::bigint[])
    ) AS r(id, n, args, meta, source)
    JOIN shapes s ON s.n = r.n
    CROSS JOIN (SELECT %(copied)s::jsonb AS copied OFFSET 0) c
    LEFT JOIN LATERAL (
      SELECT
        jsonb_build_object('recorded', j.meta -> 'recorded', 'return', COALESCE(c.copied -> r.id::text, j.meta -> 'return')) AS meta
      FROM
        /* TEMPLATE: schema */oban_jobs j
      WHERE
        j.id = r.source
        AND j.meta ? 'recorded'
      OFFSET
        0
    ) source ON true
)
SELECT
  count(pg_notify(%(channel)s, json_build_object('queue', queue)::text))
FROM
  (SELECT DISTINCT queue FROM shapes WHERE state = 'available') AS woken
