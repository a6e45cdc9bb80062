-- Insert jobs under ids drawn before, and wake the queues that have work now. What differs from job to job
-- comes as arrays of equal length; what many share (queue, worker, ...) as one row per shape.
WITH inserted AS (
  INSERT INTO /* TEMPLATE: schema */oban_jobs (
    id, args, inserted_at, max_attempts, meta, priority, queue, scheduled_at, state, tags, worker
  ) OVERRIDING SYSTEM VALUE
  SELECT
    r.id,
    r.args,
    COALESCE(s.inserted_at, timezone('UTC', now())),
    s.max_attempts,
    r.meta,
    s.priority,
    s.queue,
    COALESCE(s.scheduled_at, timezone('UTC', now())),
    s.state::/* TEMPLATE: schema */oban_job_state,
    s.tags,
    s.worker
  FROM
    ROWS FROM (
      unnest(%(ids)s::bigint[]),
      unnest(%(shapes)s::integer[]),
      jsonb_array_elements(%(args)s::jsonb),
      jsonb_array_elements(%(metas)s::jsonb)
    ) AS r(id, shape, args, meta)
    JOIN json_to_recordset(%(shape_rows)s::json) AS s(
      n integer,
      inserted_at timestamp,
      max_attempts smallint,
      priority smallint,
      queue text,
      scheduled_at timestamp,
      state text,
      tags text[],
      worker text
    ) ON s.n = r.shape
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
