-- Notice jobs that settle, start to wait or are revived, whoever does it: our ack, plain oban, another
-- implementation on the same tables, a dashboard, psql.
--
-- Called by: the trigger below, once for each statement that updates oban_jobs. Almost all of them fetch,
-- stage or retry: one look at the transition tables and out. The changes are found by grouping, not by
-- joining the transition tables: a join planned for one row would be kept for ten thousand.
-- The engine tells its own updates from others by oban_workflows.engine: the depth of triggers that they fire at. A
-- function that sets it puts back what was there before, so calls may nest. (A SET clause would do that, but only
-- superusers may name a setting of ours there.)
-- Locks: see oban_workflow_apply_changes. It comes late, after the rows of the statement.
-- Called twice: fires once for a statement; answers its own updates with nothing.
CREATE OR REPLACE FUNCTION oban_workflow_after_update()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_ids bigint[];
  v_old text[];
  v_new text[];
  v_started timestamp[];
  v_ran_at timestamp[];
  v_producers text[];
  v_unended boolean;
BEGIN
  -- The engine applies its own changes. A trigger of the user's that it fires is one level deeper.
  IF current_setting('oban_workflows.engine', true) = pg_trigger_depth()::text THEN
    RETURN NULL;
  END IF;

  -- Somebody stopped executions, or revived jobs while there are executions that have not ended.
  v_unended := CASE
    WHEN EXISTS (SELECT FROM old_rows WHERE state = 'executing')
      THEN EXISTS (SELECT FROM new_rows WHERE state IN ('suspended', 'available', 'cancelled', 'discarded'))
    WHEN EXISTS (SELECT FROM new_rows WHERE state IN ('available', 'scheduled', 'retryable'))
      THEN EXISTS (SELECT FROM old_rows WHERE state IN ('suspended', 'completed', 'cancelled', 'discarded'))
        AND EXISTS (SELECT FROM oban_workflow_unended)
    ELSE false
  END;

  -- Plain jobs go no further. Before anything is gathered, as for one job that is most of the work.
  IF NOT v_unended AND NOT EXISTS (
    SELECT
    FROM
      (
        SELECT id FROM new_rows WHERE state IN ('suspended', 'completed', 'cancelled', 'discarded')
        UNION ALL
        SELECT id FROM old_rows WHERE state IN ('suspended', 'completed', 'cancelled', 'discarded')
      ) r
      CROSS JOIN LATERAL (SELECT FROM oban_workflow_members WHERE id = r.id OFFSET 0) m
  ) THEN
    RETURN NULL;
  END IF;

  SELECT
    array_agg(c.id ORDER BY c.id),
    array_agg(c.old ORDER BY c.id),
    array_agg(c.new ORDER BY c.id),
    array_agg(c.attempted_at ORDER BY c.id),
    array_agg(c.ran_at ORDER BY c.id),
    array_agg(c.producer ORDER BY c.id)
  INTO
    v_ids, v_old, v_new, v_started, v_ran_at, v_producers
  FROM (
    SELECT
      r.id,
      min(r.old) AS old,
      min(r.new) AS new,
      min(r.attempted_at) AS attempted_at,
      min(r.ran_at) AS ran_at,
      min(r.producer) AS producer
    FROM (
      SELECT
        id,
        oban_workflow_job_state_v1(state::text, attempt, meta) AS old,
        NULL AS new,
        NULL::timestamp AS attempted_at,
        attempted_at AS ran_at,
        attempted_by[2] AS producer
      FROM
        old_rows
      UNION ALL
      SELECT
        id,
        NULL,
        oban_workflow_job_state_v1(state::text, attempt, meta),
        attempted_at,
        NULL,
        NULL
      FROM
        new_rows
    ) r
    GROUP BY
      r.id
  ) c
  WHERE
    c.old <> c.new
    AND (
      c.old IN ('suspended', 'completed', 'skipped', 'cancelled', 'discarded')
      OR c.new IN ('suspended', 'completed', 'skipped', 'cancelled', 'discarded')
      OR (v_unended AND c.old = 'executing' AND c.new = 'available')
    );

  IF v_ids IS NOT NULL THEN
    PERFORM oban_workflow_apply_changes(v_ids, v_old, v_new, v_started, v_unended, v_ran_at, v_producers);
  END IF;

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_after_update
AFTER UPDATE ON oban_jobs
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_after_update();
