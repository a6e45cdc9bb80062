-- End executions: their node acked late, was given up, or does not run them any more. Jobs that waited for that go
-- on. Returns the queues that have work now, for the caller to notify.
--
-- p_acks are those of the acks that say more than that a job has completed. An execution without an ack may have done its
-- work all the same.
--
-- Called by: oban_workflow_ack_v1, with acks of jobs that did not execute any more; oban_workflow_requeue_lost_v1, with
-- executions that nobody runs.
-- Locks: the roots, then the jobs, then rows of oban_workflow_unended; the caller has set a lock_timeout where it
-- holds more.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_end_executions(p_ids bigint[], p_stamps timestamp[], p_acks json)
RETURNS text[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_now timestamp;
  v_rules smallint;
  v_undone bigint[];
  v_ended bigint[];
  v_roots bigint[];
  v_behind bigint[];
  v_queues text[];
BEGIN
  IF NOT EXISTS (SELECT FROM oban_workflow_unended WHERE id = ANY(p_ids)) THEN
    RETURN '{}';
  END IF;

  -- of what undid a job and was taken back, that job tells the root
  v_undone := ARRAY(SELECT id FROM oban_workflow_undos WHERE undo_id = ANY(p_ids));
  v_rules := oban_workflow_lock_roots(p_ids || v_undone);

  PERFORM FROM oban_jobs WHERE id = ANY(p_ids) ORDER BY id FOR NO KEY UPDATE;

  -- whoever made a job available while this waited for its row may have done so after this had started
  v_now := timezone('UTC', clock_timestamp());

  -- what follows these executions goes on too, unless it follows others
  v_behind := v_undone || ARRAY(
    SELECT
      oban_workflow_behind_unended(
        ARRAY(SELECT DISTINCT root FROM oban_workflow_unended WHERE id = ANY(p_ids) AND root IS NOT NULL)
      )
  );

  WITH ended AS (
    DELETE FROM
      oban_workflow_unended u
    USING
      unnest(p_ids, p_stamps) AS e(id, attempted_at)
    WHERE
      u.id = e.id
      AND u.attempted_at = e.attempted_at
    RETURNING
      u.id, u.root
  )
  SELECT
    array_agg(id), array_agg(DISTINCT root) FILTER (WHERE root IS NOT NULL)
  INTO
    v_ended, v_roots
  FROM
    ended;

  IF v_ended IS NULL THEN
    RETURN '{}';
  END IF;

  UPDATE
    oban_workflow_groups g
  SET
    rules = NULLIF(g.rules & ~128, 0)
  WHERE
    g.key = ANY(v_roots)
    AND NOT EXISTS (SELECT FROM oban_workflow_unended u WHERE u.root = g.key);

  IF v_rules & 16 > 0 THEN
    PERFORM oban_workflow_note_late(v_ended, p_acks);
  END IF;

  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  -- plain jobs wait for nothing else
  WITH released AS (
    UPDATE
      oban_jobs j
    SET
      state = CASE WHEN j.scheduled_at > v_now THEN 'scheduled' ELSE 'available' END::oban_job_state
    WHERE
      j.id = ANY(v_ended)
      AND (j.state = 'suspended') IS TRUE
      AND NOT EXISTS (SELECT FROM oban_workflow_members m WHERE m.id = j.id)
      AND NOT EXISTS (SELECT FROM oban_workflow_unended u WHERE u.id = j.id)
    RETURNING
      j.queue
  )
  SELECT
    array_agg(DISTINCT queue)
  INTO
    v_queues
  FROM
    released;

  IF v_roots IS NOT NULL THEN
    v_queues := v_queues || oban_workflow_propagate('{}', '{}', '{}', '{}', v_ended || v_behind, v_rules);

    IF v_rules & 1024 > 0 THEN
      v_queues := v_queues || oban_workflow_hand_over_all(v_roots);
    END IF;
  END IF;

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

  RETURN v_queues;
END;
$$;
