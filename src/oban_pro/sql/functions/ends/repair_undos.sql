-- Insert what undoes workflows of a root that nobody saw fail, of nested ones first those within; returns of how many. The jobs
-- that plan the undos are suspended.
--
-- Called by: oban_workflow_repair_v1, once the counters are right. It counts what is inserted, and comes again.
-- Locks: as oban_workflow_insert_undo; the caller holds the root.
-- Called twice: finds those around.
CREATE OR REPLACE FUNCTION oban_workflow_repair_undos(p_root bigint)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_due bigint[] := ARRAY(
    SELECT key FROM oban_workflow_due_undos(ARRAY(SELECT group_key FROM oban_workflow_ends WHERE root = p_root))
  );
BEGIN
  RETURN cardinality(ARRAY(
    SELECT
      oban_workflow_insert_undo(d.key, d.queue)
    FROM
      oban_workflow_due_undos(v_due) d
    WHERE
      NOT EXISTS (
        SELECT
        FROM
          unnest(v_due) AS w(key)
          CROSS JOIN LATERAL oban_workflow_ends_around(
            ARRAY(SELECT group_key FROM oban_workflow_members WHERE id = w.key)
          ) AS a(key)
        WHERE
          a.key = d.key
      )
  ));
END;
$$;
