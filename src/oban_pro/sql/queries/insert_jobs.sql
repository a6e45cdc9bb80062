-- Insert jobs under ids drawn before, and wake the queues that have work now. What differs from job to job
-- comes as arrays of equal length; what many share (queue, worker, ...) as one row per shape. If a shape has a meta, the metas
-- of its jobs differ only in the name, and names come instead of metas.
WITH shapes AS MATERIALIZED (
  SELECT
    *
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
      worker text
    )
),
inserted AS (
  INSERT INTO /* TEMPLATE: schema */oban_jobs (
    id, args, inserted_at, max_attempts, meta, priority, queue, scheduled_at, state, tags, worker
  ) OVERRIDING SYSTEM VALUE
  SELECT
    r.id,
    r.args,
    s.inserted_at,
    s.max_attempts,
    CASE WHEN s.meta IS NULL THEN r.meta ELSE jsonb_set(s.meta, '{name}', r.meta) END,
    s.priority,
    s.queue,
    s.scheduled_at,
    s.state,
    s.tags,
    s.worker
  FROM
    ROWS FROM (
      unnest(%(ids)s::bigint[]),
      unnest(%(numbers)s::integer[]),
      jsonb_array_elements(%(args)s::jsonb),
      jsonb_array_elements(%(metas)s::jsonb)
    ) AS r(id, n, args, meta)
    JOIN shapes s ON s.n = r.n
)
SELECT
  count(pg_notify(%(channel)s, json_build_object('queue', queue)::text))
FROM
  (SELECT DISTINCT queue FROM shapes WHERE state = 'available') AS woken
