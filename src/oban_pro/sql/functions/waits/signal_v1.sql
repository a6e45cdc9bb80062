-- Send a signal to a wait, or to all waits in a group; returns how many took it. A wait that has settled, or has what it
-- needs, takes none. A signal to a job that has called await_signal goes to that job.
--
-- p_payload is an Erlang term without its version byte, p_choice what it chooses, if anything.
--
-- Called by: handles, and oban_workflow_signal.
-- Locks: the root first, then as oban_workflow_settle_waits does, and as the triggers do.
-- Called twice: each signal counts once; one sender is counted once by each wait.
CREATE OR REPLACE FUNCTION oban_workflow_signal_v1(
  p_id text,
  p_path text,
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
  v_member bigint := oban_workflow_lock_member(p_id, p_path);
BEGIN
  IF v_member > 0 AND NOT EXISTS (SELECT FROM oban_workflow_waits WHERE id = v_member) THEN
    IF EXISTS (SELECT FROM oban_workflow_awaits WHERE job = v_member) THEN
      RETURN oban_workflow_send_v1(ARRAY[v_member], p_payload, p_choice, p_sender, p_name, true);
    END IF;

    RAISE EXCEPTION USING
      MESSAGE = 'job ' || quote_literal(p_path) || ' of workflow ' || quote_literal(p_id)
        || ' takes no signals: it is no wait, and has not called await_signal so far',
      HINT = 'signal() by the id of the job keeps signals for calls to come.',
      ERRCODE = 'OBW13';
  END IF;

  RETURN oban_workflow_signal_waits(
    ARRAY(SELECT id FROM oban_workflow_waits_in(v_member)), p_payload, p_choice, p_sender, p_name
  );
END;
$$;
