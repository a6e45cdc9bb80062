-- The answer to the k-th call of await_signal with a name: 'signal' with its id, 'timeout', or 'waiting'.
--
-- Signals go to the calls in order. One belongs to a call if it was accepted by the deadline of that call; if it came
-- later, that call timed out, and the signal is for the next.
--
-- Called by: oban_workflow_await_v1, oban_workflow_wake_parked. Locks nothing: the caller holds the lock of the job where
-- the answer must not change.
CREATE OR REPLACE FUNCTION oban_workflow_answer(
  p_job bigint,
  p_name text,
  p_call integer,
  OUT answer text,
  OUT signal bigint,
  OUT deadline timestamp
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_call oban_workflow_awaits;
  v_last bigint := 0;
BEGIN
  FOR v_call IN
    SELECT * FROM oban_workflow_awaits WHERE job = p_job AND name = p_name AND call <= p_call ORDER BY call
  LOOP
    signal := (
      SELECT
        min(s.id)
      FROM
        oban_workflow_signals s
      WHERE
        s.job = p_job
        AND s.name = p_name
        AND s.id > v_last
        AND NOT v_call.timed_out
    );
    deadline := v_call.deadline;
    answer := CASE
      WHEN v_call.timed_out THEN 'timeout'
      WHEN signal IS NULL THEN 'waiting'
      WHEN (SELECT s.sent_at > v_call.deadline FROM oban_workflow_signals s WHERE s.job = p_job AND s.id = signal) THEN 'timeout'
      ELSE 'signal'
    END;

    IF answer = 'signal' THEN
      v_last := signal;
    END IF;
  END LOOP;
END;
$$;
