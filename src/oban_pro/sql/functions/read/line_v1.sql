-- Where a root that waits in line for its key stands: the id of the workflow that it waits behind, the key, and its number
-- in line. Nothing if it does not wait.
--
-- Called by: queries that explain members and list workflows, in workflows with keys. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_line_v1(p_root bigint, OUT behind text, OUT key text, OUT number integer)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_root oban_workflow_groups;
  v_key oban_workflow_keys;
BEGIN
  SELECT * FROM oban_workflow_groups g WHERE g.key = p_root AND g.queued_at IS NOT NULL AND g.state = 'executing' INTO v_root;

  IF NOT FOUND THEN
    RETURN;
  END IF;

  SELECT * FROM oban_workflow_keys k WHERE k.key = v_root.unique_key INTO v_key;

  key := v_root.unique_key;
  behind := (
    SELECT g.id FROM oban_workflow_groups g WHERE g.key = CASE WHEN v_key.holder = p_root THEN v_key.former ELSE v_key.holder END
  );
  number := CASE
    WHEN v_key.holder = p_root THEN 1
    ELSE (
      SELECT
        count(*)
      FROM
        oban_workflow_groups g
      WHERE
        g.unique_key = v_root.unique_key
        AND g.queued_at IS NOT NULL
        AND g.state = 'executing'
        AND g.queued_at <= v_root.queued_at
        AND (g.queued_at < v_root.queued_at OR g.key >= p_root)
        AND g.key IS DISTINCT FROM v_key.holder
    )
  END;
END;
$$;
