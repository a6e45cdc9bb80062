-- Insert jobs under ids drawn before, and wake the queues that have work now. What differs from job to job
-- comes as arrays of equal length; what many share (queue, worker, ...) as one row per shape. With a name, the
-- meta is that of the shape and the name.
WITH inserted AS (
  INSERT INTO /* TEMPLATE: schema */oban_jobs (
    id, args, inserted_at, max_attempts, meta, priority, queue, scheduled_at, state, tags, worker
  ) OVERRIDING SYSTEM VALUE
  SELECT
    r.id,
    r.args,
    COALESCE(s.inserted_at, timezone('UTC', now())),
    s.max_attempts,
    CASE WHEN r.name IS NULL THEN r.meta ELSE s.meta || jsonb_build_object('name', r.name) END,
    s.priority,
    s.queue,
    COALESCE(s.scheduled_at, timezone('UTC', now())),
    s.state::/* TEMPLATE: schema */oban_job_state,
    s.tags,
    s.worker
  FROM
    ROWS FROM (
      unnest(%(ids)s::bigint[]),
      unnest(%(numbers)s::integer[]),
      jsonb_array_elements(%(args)s::jsonb),
      jsonb_array_elements(%(metas)s::jsonb),
      jsonb_array_elements_text(%(names)s::jsonb)
    ) AS r(id, n, args, meta, name)
    JOIN json_to_recordset(%(shapes)s::json) AS s(
      n integer,
      meta jsonb,
      inserted_at timestamp,
      max_attempts smallint,
      priority smallint,
      queue text,
      scheduled_at timestamp,
      state text,
      tags text[],
      worker text
    ) ON s.n = r.n
  RETURNING
    queue, state
),
woken AS (
  SELECT DISTINCT
    queue
  FROM
    inserted
  WHERE
    state = 'available'
)
SELECT
  count(pg_notify(%(channel)s, json_build_object('queue', queue)::text))
FROM
  woken
