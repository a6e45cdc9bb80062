-- Settle, snooze or retry a batch of executed jobs, and take the next ones of their queue: one statement, one
-- commit. The first row holds the ids of the jobs that were settled, and of those that were passed over because
-- somebody holds them or their workflow; the others hold a job each that was taken.
--
-- p_ids and p_stamps are jobs that have completed and leave nothing to keep, and when they were attempted;
-- p_others, a JSON array of acks, is all the rest. p_waits tells whether to wait for what somebody holds, for a moment,
-- or to pass it over.
--
-- Called by: our query.ack_jobs; where p_demand is 0 it takes none.
-- Locks: the roots of all jobs first, then the jobs, so that acks queue up instead of dead-locking. A
-- writer that only the trigger sees comes the other way round; where the two meet, this one gives up after
-- lock_timeout, long before PostgreSQL would look for a deadlock. A root may be held for hours, so nobody waits much
-- longer for one than other acks hold it. The caller tries again.
-- Called twice: an ack counts only for the very execution it came from (executing, and attempted_at is equal).
CREATE OR REPLACE FUNCTION oban_workflow_ack_v1(
  p_ids bigint[],
  p_stamps timestamp[],
  p_others json,
  p_queue text,
  p_demand integer,
  p_attempted_by text[],
  p_waits boolean
)
RETURNS TABLE (acked bigint[], held bigint[], job oban_jobs)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  -- by row level security: some of the jobs that this moves are perhaps hidden, but not from the trigger
  v_filtered boolean := row_security_active('oban_jobs');
  v_ids bigint[] := p_ids || ARRAY(SELECT (a.value ->> 'id')::bigint FROM json_array_elements(p_others) a);
  v_rules smallint;
  -- of those acknowledged, what settled, or is suspended as it is paused
  v_settled bigint[];
  v_new text[];
  v_started timestamp[];
  v_others record;
  v_queues text[];
  v_taken integer := 0;
BEGIN
  IF NOT p_waits THEN
    held := oban_workflow_lock_unheld(v_ids);
    p_others := (
      SELECT
        json_agg(a.value)
      FROM
        json_array_elements(p_others) a
      WHERE
        (a.value ->> 'id')::bigint NOT IN (SELECT h.id FROM unnest(held) AS h(id))
    );

    SELECT
      COALESCE(array_agg(a.id), '{}'), COALESCE(array_agg(a.attempted_at), '{}')
    INTO
      p_ids, p_stamps
    FROM
      unnest(p_ids, p_stamps) AS a(id, attempted_at)
    WHERE
      a.id NOT IN (SELECT h.id FROM unnest(held) AS h(id));

    v_ids := p_ids || ARRAY(SELECT (a.value ->> 'id')::bigint FROM json_array_elements(p_others) a);
  END IF;

  PERFORM set_config('lock_timeout', '200ms', true);
  v_rules := oban_workflow_lock_roots(v_ids);
  PERFORM set_config('lock_timeout', '25ms', true);

  IF v_filtered THEN
    -- these executions have ended: see oban_workflow_hold_unended
    PERFORM set_config('oban_workflows.given_up', 'on', true);
  ELSE
    -- what the trigger would find out is known here
    PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);
  END IF;

  WITH completed AS (
    UPDATE
      oban_jobs j
    SET
      state = 'completed',
      completed_at = timezone('UTC', now())
    WHERE
      j.id = ANY(p_ids)
      AND ((j.id, j.attempted_at) IN (SELECT * FROM unnest(p_ids, p_stamps))) IS TRUE
      -- IS TRUE: see PLANS.md; by the index on states this takes up to seven times as long
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
    SELECT * FROM oban_workflow_ack_others(p_others, v_rules) INTO v_others;

    acked := acked || v_others.ids;
    v_settled := v_settled || v_others.settled;
    v_started := v_started || v_others.started;
    v_new := v_new || v_others.new;
    v_queues := v_others.queues;
  END IF;

  RETURN NEXT;

  IF v_filtered THEN
    PERFORM set_config('oban_workflows.given_up', '', true);
  END IF;

  IF v_rules IS NOT NULL AND v_settled IS NOT NULL AND NOT v_filtered THEN
    v_queues := v_queues || oban_workflow_propagate(
      v_settled, array_fill('executing'::text, ARRAY[cardinality(v_settled)]), v_new, v_started, '{}', v_rules
    );
  END IF;

  -- Somebody else has stopped the jobs of the other acks: their executions have ended now.
  IF COALESCE(cardinality(acked), 0) < cardinality(v_ids) THEN
    v_queues := v_queues || oban_workflow_end_executions(
      v_ids,
      p_stamps || ARRAY(SELECT (a.value ->> 'attempted_at')::timestamp FROM json_array_elements(p_others) a),
      p_others
    );
  END IF;

  IF p_demand > 0 THEN
    RETURN QUERY
    SELECT
      NULL::bigint[], NULL::bigint[], j
    FROM
      oban_workflow_fetch_v1(p_queue, p_demand, p_attempted_by) j;

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

  PERFORM oban_workflow_notify_queues_v1(v_queues);

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);
END;
$$;
