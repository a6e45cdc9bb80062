-- Send a signal to waits; returns how many took it. If one would take a signal, but not this, it raises and none does.
--
-- Called by: oban_workflow_signal_v1, oban_workflow_send_v1.
-- Locks: as oban_workflow_settle_waits does, and as the triggers do; the caller holds the root.
-- Called twice: each signal counts once; one sender is counted once by each wait.
CREATE OR REPLACE FUNCTION oban_workflow_signal_waits(
  p_waits bigint[],
  p_payload bytea,
  p_choice text,
  p_sender text,
  p_name text
)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  -- all are checked before any takes it
  v_takers bigint[] := ARRAY(
    SELECT w.id FROM unnest(p_waits) AS w(id) WHERE oban_workflow_accepts(w.id, p_choice, p_sender, p_name) ORDER BY w.id
  );
  v_now timestamp := timezone('UTC', clock_timestamp());
BEGIN
  INSERT INTO oban_workflow_signals (job, sender, payload, sent_at)
  SELECT t.id, p_sender, p_payload, v_now FROM unnest(v_takers) AS t(id);

  -- the trigger carries it on
  PERFORM oban_workflow_settle_waits(v_takers, v_now);

  RETURN cardinality(v_takers);
END;
$$;
