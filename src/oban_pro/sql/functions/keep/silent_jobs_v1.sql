-- Find executions that nobody runs any more; returns them, and why each is to be taken back. An execution of a live
-- producer is left alone, however long it takes.
--
-- A producer is silent if no heartbeat came although the database could receive one for longer than the producer's
-- patience. p_patience is for producers that announced none. Those run plain oban, whose heartbeats need its pool, and
-- the pool recovers late: after an outage it takes as long again as the outage, at most two and a half minutes. They
-- get that time in addition. If the row of a producer vanished without being deleted, as all rows do when the server
-- crashes, its patience begins anew, because a live producer writes its row again at its next heartbeat. Taking a job
-- is a sign of life as well.
--
-- With p_rescue_after, two more kinds are returned, as in oban: executions of that age whose producer is unknown (a
-- program that drains a queue, a node without heartbeats), and waiting jobs without an attempt left, which are to be
-- discarded.
--
-- Called by: lifeline.rescue; and without p_rescue_after by every node, again and again.
-- Locks: an advisory lock, so that one looks at a time; rows of oban_workflow_producers and oban_workflow_hearing.
-- Called twice: returns the same.
CREATE OR REPLACE FUNCTION oban_workflow_silent_jobs_v1(p_patience double precision, p_rescue_after double precision)
RETURNS TABLE (id bigint, attempted_at timestamp, reason text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_silent text[];
  v_patience double precision[];
BEGIN
  IF pg_try_advisory_xact_lock(hashtextextended('oban_workflows.hear.' || current_schema(), 0)) THEN
    UPDATE
      oban_workflow_producers k
    SET
      left_at = v_now
    WHERE
      left_at IS NULL
      AND NOT EXISTS (SELECT FROM oban_producers p WHERE p.uuid = k.uuid);

    IF FOUND AND EXISTS (SELECT FROM oban_workflow_queues) THEN
      PERFORM oban_workflow_refresh_queues(ARRAY(SELECT queue FROM oban_workflow_queues));
    END IF;

    PERFORM oban_workflow_hear(p_patience);
  ELSIF p_rescue_after IS NULL THEN
    RETURN;
  END IF;

  SELECT
    array_agg(s.uuid), array_agg(s.patience)
  INTO
    v_silent, v_patience
  FROM
    oban_workflow_silent_producers(p_patience) s;

  IF v_silent IS NOT NULL THEN
    RETURN QUERY
    SELECT
      j.id,
      j.attempted_at,
      'node ' || COALESCE(j.attempted_by[1], '?') || ' was silent for more than ' || round(s.patience) || ' seconds and counts as dead'
    FROM
      oban_jobs j
      JOIN unnest(v_silent, v_patience) AS s(uuid, patience) ON s.uuid = j.attempted_by[2]
    WHERE
      j.state = 'executing'
      AND oban_workflow_heard_since(j.attempted_at) > s.patience;

    DELETE FROM
      oban_workflow_producers k
    WHERE
      k.uuid = ANY(v_silent::uuid[])
      AND k.left_at IS NOT NULL
      -- row level security may hide its jobs
      AND (NOT row_security_active('oban_jobs') OR k.left_at < v_now - interval '1 day')
      AND NOT EXISTS (SELECT FROM oban_jobs j WHERE j.state = 'executing' AND j.attempted_by[2] = k.uuid::text);
  END IF;

  -- What a silent producer still ran for jobs that somebody stopped has ended; so has what nobody knows of.
  RETURN QUERY
  SELECT
    u.id, u.attempted_at, 'was stopped'
  FROM
    oban_workflow_unended u
  WHERE
    u.producer = ANY(v_silent)
    OR NOT EXISTS (SELECT FROM oban_workflow_producers k WHERE k.uuid::text = u.producer);

  IF p_rescue_after IS NOT NULL THEN
    RETURN QUERY
    SELECT
      j.id,
      j.attempted_at,
      'ran for more than ' || p_rescue_after || ' seconds on node ' || COALESCE(j.attempted_by[1], '?') || ', which sends no heartbeat'
    FROM
      oban_jobs j
    WHERE
      j.state = 'executing'
      AND oban_workflow_heard_since(j.attempted_at) > p_rescue_after
      AND NOT EXISTS (SELECT FROM oban_workflow_producers k WHERE k.uuid::text = j.attempted_by[2]);

    RETURN QUERY
    SELECT
      j.id, j.attempted_at, 'was available without an attempt left'
    FROM
      oban_jobs j
    WHERE
      j.state = 'available'
      AND j.attempt >= j.max_attempts;
  END IF;
END;
$$;
