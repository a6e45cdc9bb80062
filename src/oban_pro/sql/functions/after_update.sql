-- Notice jobs that settle, start to wait or are revived, whoever does it: our ack, plain oban, another
-- implementation on the same tables, a dashboard, psql.
--
-- Called by: the trigger below, once for each statement that updates oban_jobs. Almost all of them fetch,
-- stage or retry: one look at the transition tables and out. The changes are found by grouping, not by
-- joining the transition tables: a join planned for one row would be kept for ten thousand.
-- Locks: see oban_workflow_settle. It comes late, after the rows of the statement.
-- Twice: fires once for a statement; answers its own updates with nothing.
CREATE OR REPLACE FUNCTION oban_workflow_after_update()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_ids bigint[];
  v_old text[];
  v_new text[];
  v_started timestamp[];
BEGIN
  IF current_setting('oban_workflows.engine', true) = 'on' THEN
    RETURN NULL;
  END IF;

  -- Plain jobs go no further. Before anything is gathered, as for one job that is most of the work.
  IF NOT EXISTS (
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
    array_agg(c.attempted_at ORDER BY c.id)
  INTO
    v_ids, v_old, v_new, v_started
  FROM (
    SELECT
      r.id, min(r.old) AS old, min(r.new) AS new, min(r.attempted_at) AS attempted_at
    FROM (
      SELECT id, state::text AS old, NULL AS new, NULL::timestamp AS attempted_at FROM old_rows
      UNION ALL
      SELECT id, NULL, state::text, attempted_at FROM new_rows
    ) r
    GROUP BY
      r.id
  ) c
  WHERE
    c.old <> c.new
    AND (
      c.old IN ('suspended', 'completed', 'cancelled', 'discarded')
      OR c.new IN ('suspended', 'completed', 'cancelled', 'discarded')
    );

  IF v_ids IS NOT NULL THEN
    PERFORM oban_workflow_settle(v_ids, v_old, v_new, v_started);
  END IF;

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER oban_workflow_after_update
AFTER UPDATE ON oban_jobs
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION oban_workflow_after_update();
