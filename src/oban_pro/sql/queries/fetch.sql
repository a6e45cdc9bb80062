-- Take the next jobs of a queue, exactly as oban's own statement does: the same rows, in the order in which
-- they are due. That one joins, and PostgreSQL's plan for the join depends on what the table was like when it
-- was planned: on a table that has grown since, each fetch reads all of it. An array of ids leaves the
-- primary key as the only way.
WITH due AS (
  SELECT
    id
  FROM
    /* TEMPLATE: schema */oban_jobs
  WHERE
    -- As a range, and in the order of the index: on a table without statistics the planner takes two
    -- equalities for a handful of rows, and sorts all of them for each fetch.
    (state, queue) >= ('available', %(queue)s::text)
    AND (state, queue) <= ('available', %(queue)s::text)
  ORDER BY
    state ASC, queue ASC, priority ASC, scheduled_at ASC, id ASC
  LIMIT
    %(demand)s
  FOR UPDATE SKIP LOCKED
),
taken AS (
  UPDATE
    /* TEMPLATE: schema */oban_jobs j
  SET
    attempt = j.attempt + 1,
    -- the transaction may have begun before what the job depends on settled
    attempted_at = timezone('UTC', statement_timestamp()),
    attempted_by = %(attempted_by)s,
    state = 'executing'
  WHERE
    j.id = ANY(ARRAY(SELECT id FROM due))
    AND j.attempt < j.max_attempts
  RETURNING
    j.id,
    j.state,
    j.queue,
    j.worker,
    j.attempt,
    j.max_attempts,
    j.priority,
    j.args,
    j.meta,
    j.errors,
    j.tags,
    j.attempted_by,
    j.inserted_at,
    j.attempted_at,
    j.cancelled_at,
    j.completed_at,
    j.discarded_at,
    j.scheduled_at
)
SELECT
  *
FROM
  taken
ORDER BY
  priority ASC, scheduled_at ASC, id ASC
