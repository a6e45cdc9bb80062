-- Which of some jobs wait for the end of an execution: their own, one that they follow, or that of their undo.
--
-- Called by: oban_workflow_hold_back, oban_workflow_suspend_again. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_unready(p_ids bigint[])
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_roots bigint[] := ARRAY(
    SELECT DISTINCT
      g.root
    FROM
      (
        SELECT DISTINCT
          m.group_key
        FROM
          unnest(p_ids) AS i(id)
          CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = i.id OFFSET 0) m
      ) m
      CROSS JOIN LATERAL (SELECT root FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) g
  );
BEGIN
  RETURN QUERY
  SELECT u.id FROM oban_workflow_unended u WHERE u.id = ANY(p_ids)
  UNION
  SELECT b.id FROM oban_workflow_behind_unended(v_roots) AS b(id) WHERE b.id = ANY(p_ids)
  UNION
  SELECT
    o.id
  FROM
    oban_workflow_undos o
  WHERE
    o.id = ANY(p_ids)
    AND EXISTS (SELECT FROM oban_workflow_unended u WHERE u.id = o.undo_id);
END;
$$;
