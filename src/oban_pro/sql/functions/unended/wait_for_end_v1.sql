-- Let jobs wait for the end of an execution that still goes on: their node took them although it runs them already.
-- The attempt does not count.
--
-- p_stamps are when they were taken, p_running when the executions began that go on.
--
-- Called by: our producer.get_jobs.
-- Locks: the roots, then the jobs, then rows of oban_workflow_unended; gives up after lock_timeout.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_wait_for_end_v1(
  p_ids bigint[],
  p_stamps timestamp[],
  p_running timestamp[],
  p_producer text
)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_ids bigint[];
  v_running timestamp[];
BEGIN
  -- whoever ran them has given them up: see oban_workflow_hold_unended
  PERFORM set_config('oban_workflows.given_up', 'on', true);
  PERFORM set_config('lock_timeout', '200ms', true);
  PERFORM oban_workflow_lock_roots(p_ids);

  SELECT
    array_agg(j.id), array_agg(j.running)
  INTO
    v_ids, v_running
  FROM (
    SELECT
      j.id, t.running
    FROM
      oban_jobs j
      JOIN unnest(p_ids, p_stamps, p_running) AS t(id, attempted_at, running) ON t.id = j.id
    WHERE
      j.attempted_at = t.attempted_at
      AND (j.state = 'executing') IS TRUE
    ORDER BY
      j.id
    FOR NO KEY UPDATE OF j
  ) j;

  PERFORM
    oban_workflow_note_unended(v_ids, v_running, array_fill(p_producer, ARRAY[cardinality(v_ids)]))
  WHERE
    v_ids IS NOT NULL;

  UPDATE
    oban_jobs
  SET
    state = 'suspended',
    attempt = attempt - 1
  WHERE
    id = ANY(v_ids);

  PERFORM set_config('oban_workflows.given_up', '', true);
END;
$$;
