-- Release suspended jobs that nothing is pending for, at the given time; returns them, and the queues that have work
-- now. p_rules are the rare rules of their roots; if there are any, oban_workflow_hold_back decides what is released.
-- Waits are opened instead of released; those that settle by it are returned as well, with how. Jobs that a pause had
-- suspended get their former state back.
--
-- Called by: oban_workflow_propagate, which counts them.
-- Locks: the rows of the jobs; the caller holds the root.
-- Called twice: a released job is not suspended any more.
CREATE OR REPLACE FUNCTION oban_workflow_release(
  p_ids bigint[],
  p_now timestamp,
  p_rules smallint,
  OUT ids bigint[],
  OUT queues text[],
  OUT settled bigint[],
  OUT new text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_ids bigint[] := p_ids;
  v_back record;
BEGIN
  -- joins and tolerances hold nothing back
  IF p_rules & ~258 > 0 THEN
    SELECT h.ids, h.settled, h.new FROM oban_workflow_hold_back(p_ids, p_now, p_rules) h INTO v_ids, settled, new;
  END IF;

  IF p_rules & 64 > 0 THEN
    SELECT * FROM oban_workflow_bring_back(v_ids, p_now) INTO v_back;
  END IF;

  WITH ready AS MATERIALIZED (
    SELECT
      id, group_key, gated
    FROM
      oban_workflow_members
    WHERE
      id = ANY(v_ids)
      AND pending <= 0
  ),
  -- each gate is looked up once, and may be that of very many jobs
  open AS (
    SELECT
      g.key
    FROM
      (SELECT DISTINCT group_key AS key FROM ready WHERE gated) g
      CROSS JOIN LATERAL (SELECT pending FROM oban_workflow_members WHERE id = g.key OFFSET 0) m
    WHERE
      m.pending <= 0
  ),
  released AS (
    UPDATE
      oban_jobs j
    SET
      state = CASE WHEN j.scheduled_at > p_now THEN 'scheduled' ELSE 'available' END::oban_job_state,
      scheduled_at = GREATEST(j.scheduled_at, p_now)
    WHERE
      j.id = ANY(ARRAY(
        SELECT
          m.id
        FROM
          ready m
        WHERE
          NOT m.gated
          OR m.group_key IN (SELECT key FROM open)
      ))
      AND (j.state = 'suspended') IS TRUE
    RETURNING
      j.id, j.queue, j.state
  )
  SELECT
    COALESCE(array_agg(r.id), '{}'), array_agg(DISTINCT r.queue) FILTER (WHERE r.state = 'available')
  INTO
    ids, queues
  FROM
    released r;

  IF p_rules & 64 > 0 THEN
    ids := ids || v_back.ids;
    queues := queues || v_back.queues;
  END IF;

  IF p_rules & 8 > 0 THEN
    PERFORM oban_workflow_start_clocks(ids, p_now);
  END IF;
END;
$$;
