-- Take executing jobs back from producers that are silent; returns how many. One with attempts left becomes
-- available, any other discarded. A job that runs on a live producer is left alone, however long it takes.
--
-- A producer is silent when its last heartbeat is older than its patience, or than p_patience where it did
-- not say. One whose row vanished without being deleted, as all do when the server crashes, gets that time
-- anew: live ones put their row back at their next heartbeat. To take a job is a sign of life as well.
--
-- With p_rescue_after, jobs that old go back too where nothing is known of who runs them (somebody who
-- drains a queue, nodes that keep no heartbeat), and jobs that wait without an attempt left are discarded,
-- both as oban does.
--
-- Called by: lifeline.rescue; and without p_rescue_after by every node, again and again.
-- Locks: an advisory lock, so that one does it; then as oban_workflow_give_back does.
-- Twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_rescue(p_patience double precision, p_rescue_after double precision)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_mutex bigint := hashtextextended('oban_workflows.rescue.' || current_schema(), 0);
  v_silent text[];
  v_patience double precision[];
  v_ids bigint[];
  v_stamps timestamp[];
  v_rescued integer;
BEGIN
  PERFORM set_config('lock_timeout', '200ms', true);

  IF p_rescue_after IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(v_mutex);
  ELSIF NOT pg_try_advisory_xact_lock(v_mutex) THEN
    RETURN 0;
  END IF;

  UPDATE
    oban_workflow_producers k
  SET
    left_at = v_now
  WHERE
    left_at IS NULL
    AND NOT EXISTS (SELECT FROM oban_producers p WHERE p.uuid = k.uuid);

  SELECT
    array_agg(s.uuid), array_agg(s.patience)
  INTO
    v_silent, v_patience
  FROM (
    SELECT
      k.uuid::text, COALESCE(k.patience, p_patience) AS patience, COALESCE(p.updated_at, k.left_at) AS seen_at
    FROM
      oban_workflow_producers k
      LEFT JOIN oban_producers p ON p.uuid = k.uuid
  ) s
  WHERE
    s.seen_at < v_now - make_interval(secs => s.patience);

  IF v_silent IS NULL AND p_rescue_after IS NULL THEN
    RETURN 0;
  END IF;

  SELECT
    array_agg(j.id ORDER BY j.id), array_agg(j.attempted_at ORDER BY j.id)
  INTO
    v_ids, v_stamps
  FROM
    oban_jobs j
    LEFT JOIN unnest(v_silent, v_patience) AS s(uuid, patience) ON s.uuid = j.attempted_by[2]
  WHERE
    (
      j.state = 'executing'
      AND (
        j.attempted_at < v_now - make_interval(secs => s.patience)
        OR (
          j.attempted_at < v_now - make_interval(secs => p_rescue_after)
          AND NOT EXISTS (SELECT FROM oban_workflow_producers k WHERE k.uuid::text = j.attempted_by[2])
        )
      )
    )
    OR (j.state = 'available' AND j.attempt >= j.max_attempts AND p_rescue_after IS NOT NULL);

  v_rescued := oban_workflow_give_back(v_ids, v_stamps);

  DELETE FROM
    oban_workflow_producers k
  USING
    unnest(v_silent) AS s(uuid)
  WHERE
    k.uuid = s.uuid::uuid
    AND k.left_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM oban_jobs j WHERE j.state = 'executing' AND j.attempted_by[2] = s.uuid);

  RETURN v_rescued;
END;
$$;
