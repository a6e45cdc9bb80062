-- Ask for the answer of a call of await_signal: the k-th of a name in this execution of a job. Returns 'signal' with its
-- payload (an Erlang term without version byte), 'timeout', or 'waiting' with the seconds that are left.
--
-- The first execution that reaches a call sets its deadline, which stands for every later one.
--
-- Called by: await_signal.
-- Locks: what oban_workflow_lock_job does, before it decides that a call has timed out, because a signal may be on its
-- way that came in time. While the lock is taken, the call goes on waiting.
-- Called twice: answers the same.
CREATE OR REPLACE FUNCTION oban_workflow_await_v1(
  p_job bigint,
  p_name text,
  p_call integer,
  p_seconds double precision,
  p_moment timestamp,
  OUT answer text,
  OUT payload bytea,
  OUT seconds double precision
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_answer record;
BEGIN
  IF NOT EXISTS (SELECT FROM oban_workflow_awaits WHERE job = p_job AND name = p_name AND call = p_call) THEN
    INSERT INTO oban_workflow_awaits (job, name, call, deadline)
    VALUES (p_job, p_name, p_call, COALESCE(p_moment, v_now + make_interval(secs => p_seconds)))
    ON CONFLICT ON CONSTRAINT oban_workflow_awaits_pkey DO NOTHING;
  END IF;

  SELECT * FROM oban_workflow_answer(p_job, p_name, p_call) INTO v_answer;

  IF v_answer.answer = 'waiting' AND v_answer.deadline <= v_now THEN
    IF oban_workflow_lock_job(p_job) THEN
      SELECT * FROM oban_workflow_answer(p_job, p_name, p_call) INTO v_answer;

      IF v_answer.answer = 'waiting' THEN
        v_answer.answer := 'timeout';
      END IF;
    ELSE
      -- somebody may be sending
      v_answer.deadline := v_now + interval '1 second';
    END IF;
  END IF;

  answer := v_answer.answer;

  IF answer = 'timeout' THEN
    UPDATE oban_workflow_awaits SET timed_out = true WHERE job = p_job AND name = p_name AND call = p_call AND NOT timed_out;
  ELSIF answer = 'signal' THEN
    payload := (SELECT s.payload FROM oban_workflow_signals s WHERE s.job = p_job AND s.id = v_answer.signal);

    UPDATE oban_workflow_signals SET taken_at = v_now WHERE job = p_job AND id = v_answer.signal AND taken_at IS NULL;
  ELSE
    seconds := extract(epoch FROM v_answer.deadline - v_now);
  END IF;
END;
$$;
