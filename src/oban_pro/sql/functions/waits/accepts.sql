-- Whether a wait takes a signal: it has not settled, needs more signals, and has none from that sender. Raises if it
-- needs a signal but the content of this one is wrong.
--
-- Called by: oban_workflow_signal_waits. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_accepts(p_wait bigint, p_choice text, p_sender text, p_name text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
  v_wait oban_workflow_waits;
  v_label text;
BEGIN
  SELECT * FROM oban_workflow_waits WHERE id = p_wait INTO v_wait;

  IF NOT oban_workflow_takes(v_wait, p_sender) THEN
    RETURN false;
  END IF;

  v_label := 'a signal to the wait ' || quote_literal(array_to_string(oban_workflow_path_v1(p_wait), '/'));

  IF p_name IS NOT NULL THEN
    RAISE EXCEPTION USING
      MESSAGE = v_label || ' must not have a name, got ' || quote_literal(p_name), ERRCODE = 'OBW13';
  ELSIF v_wait.wanted > 1 AND p_sender IS NULL THEN
    RAISE EXCEPTION USING
      MESSAGE = v_label || ' must say by whom it is, as it needs ' || v_wait.wanted || ' of different senders',
      ERRCODE = 'OBW13';
  ELSIF v_wait.choices IS NOT NULL AND p_choice = ANY(v_wait.choices) IS NOT TRUE THEN
    RAISE EXCEPTION USING
      MESSAGE = v_label || ' must choose one of ' || array_to_string(v_wait.choices, ', ') || ', got '
        || COALESCE(p_choice, 'no choice'),
      ERRCODE = 'OBW13';
  END IF;

  RETURN true;
END;
$$;
