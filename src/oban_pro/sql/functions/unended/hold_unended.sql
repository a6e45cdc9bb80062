-- Hold jobs whose executions have not ended: note the executions that were stopped from outside, and suspend
-- jobs again that somebody made runnable before the end. Returns the rules of the roots afterwards, and the jobs that were put back.
--
-- p_ids are jobs, p_old and p_new their states before and after, p_stamps when they were attempted before, p_producers
-- by which producer; p_rules those of the locked roots, NULL if all jobs are plain.
--
-- Called by: oban_workflow_apply_changes.
-- Locks: rows of jobs, then of oban_workflow_unended; the caller holds the roots.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_hold_unended(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_stamps timestamp[],
  p_producers text[],
  p_rules smallint,
  OUT rules smallint,
  OUT suspended bigint[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_ids bigint[];
  v_stamps timestamp[];
  v_producers text[];
  v_revived bigint[];
BEGIN
  rules := p_rules;
  suspended := '{}';

  SELECT
    array_agg(c.id) FILTER (WHERE c.old = 'executing'),
    array_agg(c.attempted_at) FILTER (WHERE c.old = 'executing'),
    array_agg(c.producer) FILTER (WHERE c.old = 'executing'),
    array_agg(c.id) FILTER (WHERE c.new NOT IN ('suspended', 'cancelled', 'discarded'))
  INTO
    v_ids, v_stamps, v_producers, v_revived
  FROM
    unnest(p_ids, p_old, p_new, p_stamps, p_producers) AS c(id, old, new, attempted_at, producer)
  WHERE
    (c.old = 'executing' AND c.new IN ('suspended', 'available', 'cancelled', 'discarded'))
    OR (
      c.old IN ('suspended', 'completed', 'skipped', 'cancelled', 'discarded')
      AND c.new IN ('available', 'scheduled', 'retryable')
    );

  -- whoever gives an execution up says so
  IF v_ids IS NOT NULL AND current_setting('oban_workflows.given_up', true) IS DISTINCT FROM 'on' THEN
    IF oban_workflow_note_unended(v_ids, v_stamps, v_producers) THEN
      rules := rules | 128::smallint;
    END IF;
  END IF;

  IF v_revived IS NOT NULL THEN
    suspended := COALESCE(oban_workflow_suspend_unended(v_revived), '{}');
  END IF;
END;
$$;
