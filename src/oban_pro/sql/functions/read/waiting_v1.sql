-- What a member waits for that nobody runs: signals or a time, if it is a wait that is open; the signal that a job is
-- parked for; and the first deadline that it is under. kind is 'signal', 'timer' or 'call', NULL for none; since when it
-- is open; until when it waits at most; how many signals it wants, how many came, and from whom (ten of them); what they
-- may choose; and the name of the call.
--
-- p_id is a job, or the key of a group.
--
-- Called by: queries that explain jobs and list waits, for workflows with rare rules. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_waiting_v1(
  p_id bigint,
  OUT kind text,
  OUT since timestamp,
  OUT until timestamp,
  OUT wanted integer,
  OUT came integer,
  OUT senders text[],
  OUT choices text[],
  OUT call text,
  OUT deadline timestamp
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_wait oban_workflow_waits;
  v_call record;
BEGIN
  SELECT * FROM oban_workflow_waits w WHERE w.id = p_id AND w.is_open INTO v_wait;

  IF v_wait.id IS NOT NULL THEN
    kind := v_wait.kind;
    since := v_wait.opened_at;
    until := (SELECT t.due FROM oban_workflow_timers t WHERE t.target = p_id AND t.kind = 'wait');
    wanted := v_wait.wanted;
    choices := v_wait.choices;

    SELECT
      count(*), COALESCE((array_agg(s.sender ORDER BY s.id) FILTER (WHERE s.sender IS NOT NULL))[1:10], '{}')
    FROM
      oban_workflow_signals s
    WHERE
      s.job = p_id
      AND s.id > v_wait.forgotten
    INTO
      came, senders;
  ELSE
    SELECT
      j.meta -> 'wait' ->> 'name' AS name, (j.meta -> 'wait' ->> 'call')::integer AS number
    FROM
      oban_jobs j
    WHERE
      j.id = p_id
      AND j.state = 'scheduled'
      AND jsonb_typeof(j.meta -> 'wait') = 'object'
      AND jsonb_typeof(j.meta -> 'wait' -> 'call') = 'number'
    INTO
      v_call;

    IF v_call.name IS NOT NULL THEN
      kind := 'call';
      call := v_call.name;
      until := (
        SELECT a.deadline FROM oban_workflow_awaits a WHERE a.job = p_id AND a.name = v_call.name AND a.call = v_call.number
      );
    END IF;
  END IF;

  deadline := (
    SELECT
      min(t.due)
    FROM
      oban_workflow_around_v1(p_id) around
      CROSS JOIN LATERAL (
        SELECT due FROM oban_workflow_timers WHERE target = around.id AND kind IN ('deadline', 'inner') OFFSET 0
      ) t
  );
END;
$$;
