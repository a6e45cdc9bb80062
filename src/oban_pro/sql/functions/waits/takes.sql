-- Whether a wait takes a signal of a sender: it has not settled, it needs more signals, and it has none of that sender.
CREATE OR REPLACE FUNCTION oban_workflow_takes(p_wait oban_workflow_waits, p_sender text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    COALESCE((SELECT state = 'suspended' FROM oban_jobs WHERE id = p_wait.id), false)
    AND count(*) < p_wait.wanted
    AND (count(*) FILTER (WHERE s.sender = p_sender) = 0)
  FROM
    oban_workflow_signals s
  WHERE
    s.job = p_wait.id
    AND s.id > p_wait.forgotten
$$;
