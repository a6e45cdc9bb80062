-- Settle, snooze or retry jobs whose acks say more than that they have completed: a recorded value, an error, a time to
-- run again. Returns the ids of those that were executing; of those that settled by it, or are suspended as they are
-- paused, their ids, new states and when they were attempted; and the queues of those that run again at once: of loops,
-- and of parked jobs whose signals have come. p_rules are the rare rules of the roots. Jobs that would be tried again
-- are cancelled in a group that failed fast.
--
-- Called by: oban_workflow_ack_v1, which carries that through the workflows. Takes its locks.
-- Called twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_ack_others(
  p_acks json,
  p_rules smallint,
  OUT ids bigint[],
  OUT settled bigint[],
  OUT new text[],
  OUT started timestamp[],
  OUT queues text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_parked bigint[];
  v_paused record;
  v_cut record;
BEGIN
  WITH acked AS (
    UPDATE
      oban_jobs j
    SET
      state = a.state::oban_job_state,
      cancelled_at = CASE WHEN a.state = 'cancelled' THEN v_now ELSE j.cancelled_at END,
      completed_at = CASE WHEN a.state = 'completed' THEN v_now ELSE j.completed_at END,
      discarded_at = CASE WHEN a.state = 'discarded' THEN v_now ELSE j.discarded_at END,
      scheduled_at = CASE WHEN a.schedule_in IS NULL THEN j.scheduled_at ELSE v_now + make_interval(secs => a.schedule_in) END,
      attempt = j.attempt + COALESCE(a.attempt_change, 0),
      errors = CASE WHEN a.error IS NULL THEN j.errors ELSE j.errors || a.error END,
      meta = CASE
        WHEN a.unparks OR a.drops IS NOT NULL
          THEN j.meta - CASE WHEN a.unparks THEN ARRAY['wait', 'wait_until'] ELSE '{}' END - COALESCE(a.drops, '{}')
            || COALESCE(a.meta, '{}')
        WHEN a.meta IS NULL THEN j.meta
        ELSE j.meta || a.meta
      END
    FROM
      json_to_recordset(p_acks) AS a(
        id bigint,
        attempted_at timestamp,
        state text,
        schedule_in double precision,
        attempt_change integer,
        error jsonb,
        meta jsonb,
        parks boolean,
        unparks boolean,
        -- keys of the meta that it leaves behind
        drops text[]
      )
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[a.id])
      AND j.attempted_at = a.attempted_at
      AND (j.state = 'executing') IS TRUE
    RETURNING
      j.id,
      oban_workflow_job_state_v1(j.state::text, j.attempt, j.meta) AS state,
      j.attempted_at,
      j.queue,
      a.parks
  )
  SELECT
    array_agg(a.id),
    array_agg(a.id) FILTER (WHERE a.state IN ('completed', 'skipped', 'cancelled', 'discarded')),
    array_agg(a.state) FILTER (WHERE a.state IN ('completed', 'skipped', 'cancelled', 'discarded')),
    array_agg(a.attempted_at) FILTER (WHERE a.state IN ('completed', 'skipped', 'cancelled', 'discarded')),
    array_agg(a.id) FILTER (WHERE a.parks),
    array_agg(DISTINCT a.queue) FILTER (WHERE a.state = 'available')
  INTO
    ids, settled, new, started, v_parked, queues
  FROM
    acked a;

  IF p_rules & 256 > 0 THEN
    SELECT * FROM oban_workflow_cut_short(ids, p_rules) INTO v_cut;

    IF v_cut.ids IS NOT NULL THEN
      settled := settled || v_cut.ids;
      new := new || array_fill('cancelled'::text, ARRAY[cardinality(v_cut.ids)]);
      started := started || v_cut.started;
      v_parked := ARRAY(SELECT p.id FROM unnest(v_parked) AS p(id) WHERE p.id <> ALL(v_cut.ids));
    END IF;
  END IF;

  IF v_parked IS NOT NULL THEN
    queues := queues || oban_workflow_wake_parked(v_parked);
  END IF;

  IF p_rules & 64 > 0 THEN
    SELECT * FROM oban_workflow_hold_paused(ids) INTO v_paused;

    settled := settled || v_paused.ids;
    started := started || v_paused.started;
    new := new || array_fill('suspended'::text, ARRAY[cardinality(v_paused.ids)]);
  END IF;
END;
$$;
