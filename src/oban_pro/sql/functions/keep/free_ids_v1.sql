-- Free the ids of workflows without any job left, by removing their bookkeeping. Returns the ids that stay taken, for a
-- root with the number of jobs that it was inserted with.
--
-- Called by: enqueueing, with ids that are taken, before it tries again to insert. It runs with the rights of the tables'
-- owner, who sees the jobs that row level security hides from others.
-- Locks: the roots that it removes, ascending.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_free_ids_v1(p_ids text[])
RETURNS TABLE (id text, jobs integer)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
  v_root bigint;
  v_rules smallint;
BEGIN
  FOR v_root IN
    SELECT DISTINCT root FROM oban_workflow_groups WHERE id = ANY(p_ids) ORDER BY root
  LOOP
    CONTINUE WHEN NOT oban_workflow_is_free_v1(v_root);

    SELECT rules INTO v_rules FROM oban_workflow_groups WHERE key = v_root FOR UPDATE;

    -- somebody may have replaced it while this waited, and then it has another key
    IF FOUND AND oban_workflow_is_free_v1(v_root) THEN
      PERFORM oban_workflow_remove_groups(ARRAY(SELECT key FROM oban_workflow_groups WHERE root = v_root), v_rules);
    END IF;
  END LOOP;

  RETURN QUERY
  SELECT
    g.id,
    CASE
      WHEN g.parent IS NULL THEN (SELECT sum(n.total)::int FROM oban_workflow_groups n WHERE n.root = g.key)
    END
  FROM
    oban_workflow_groups g
  WHERE
    g.id = ANY(p_ids);
END;
$$;
