-- Settle, snooze or retry a batch of executed jobs, and take the next ones of their queue: one statement, one
-- commit. The first row holds the ids of the jobs that were settled, the others a job each that was taken.
--
-- p_ids and p_stamps are jobs that have completed and leave nothing to keep, and when they were attempted;
-- p_others, a JSON array of acks, is all the rest.
--
-- Called by: our query.ack_jobs; where p_demand is 0 it takes none.
-- Locks: the roots of all jobs first, then the jobs, so that acks queue up instead of dead-locking. A
-- writer that only the trigger sees comes the other way round; where the two meet, this one gives up after
-- lock_timeout, long before PostgreSQL would look for a deadlock, and the caller tries again.
-- Twice: an ack counts only for the very execution it came from (executing, and attempted_at is equal).
CREATE OR REPLACE FUNCTION oban_workflow_ack(
  p_ids bigint[],
  p_stamps timestamp[],
  p_others json,
  p_queue text,
  p_demand integer,
  p_attempted_by text[]
)
RETURNS TABLE (acked bigint[], job oban_jobs)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_locked boolean;
  -- of those acknowledged, what settled
  v_settled bigint[];
  v_new text[];
  v_started timestamp[];
  v_others record;
  v_queues text[];
  v_taken integer := 0;
BEGIN
  v_locked := oban_workflow_lock_roots(
    p_ids || ARRAY(SELECT (a.value ->> 'id')::bigint FROM json_array_elements(p_others) a)
  );

  IF v_locked THEN
    PERFORM set_config('lock_timeout', '25ms', true);
  END IF;

  -- what the trigger would find out is known here
  PERFORM set_config('oban_workflows.engine', 'on', true);

  WITH completed AS (
    UPDATE
      oban_jobs j
    SET
      state = 'completed',
      completed_at = timezone('UTC', now())
    WHERE
      j.id = ANY(p_ids)
      AND ((j.id, j.attempted_at) IN (SELECT * FROM unnest(p_ids, p_stamps))) IS TRUE
      -- IS TRUE keeps the planner off the index on states, which is up to seven times slower here
      AND (j.state = 'executing') IS TRUE
    RETURNING
      j.id, j.attempted_at
  )
  SELECT
    array_agg(id), array_agg(attempted_at), array_agg('completed'::text)
  INTO
    v_settled, v_started, v_new
  FROM
    completed;

  acked := v_settled;

  IF p_others IS NOT NULL THEN
    SELECT * FROM oban_workflow_ack_others(p_others) INTO v_others;

    acked := acked || v_others.ids;
    v_settled := v_settled || v_others.settled;
    v_started := v_started || v_others.started;
    v_new := v_new || v_others.new;
  END IF;

  RETURN NEXT;

  IF v_locked AND v_settled IS NOT NULL THEN
    v_queues := oban_workflow_carry(
      v_settled, array_fill('executing'::text, ARRAY[cardinality(v_settled)]), v_new, v_started, '{}'
    );
  END IF;

  PERFORM set_config('oban_workflows.engine', 'off', true);

  IF p_demand > 0 THEN
    RETURN QUERY
    SELECT
      NULL::bigint[], j
    FROM
      oban_workflow_fetch(p_queue, p_demand, p_attempted_by) j;

    GET DIAGNOSTICS v_taken = ROW_COUNT;
  END IF;

  -- What is left of the queue is for other producers, if there are any: this one comes back by itself. Woken now it
  -- would find nothing to do, and yet put off its next ack.
  IF p_queue = ANY(v_queues) AND (
    v_taken < p_demand
    OR p_demand > 0 AND NOT EXISTS (
      SELECT FROM oban_producers WHERE queue = p_queue AND NOT uuid = ANY(p_attempted_by[2:]::uuid[])
    )
  ) THEN
    v_queues := array_remove(v_queues, p_queue);
  END IF;

  PERFORM oban_workflow_wake(v_queues);
END;
$$;
