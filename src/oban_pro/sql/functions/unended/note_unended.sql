-- Note executions that somebody stopped from outside and that their node has not ended yet; returns whether one of
-- them is of a workflow. Executions on nodes without this package end at once: their producer does not say for how
-- long it may be silent.
--
-- Called by: oban_workflow_apply_changes, with jobs that executed and do not any more.
-- Locks: rows of roots, which the caller holds.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_note_unended(p_ids bigint[], p_stamps timestamp[], p_producers text[])
RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_roots bigint[];
BEGIN
  WITH noted AS (
    INSERT INTO oban_workflow_unended (id, attempted_at, producer, root)
    SELECT
      e.id, e.attempted_at, e.producer, g.root
    FROM
      unnest(p_ids, p_stamps, p_producers) AS e(id, attempted_at, producer)
      LEFT JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = e.id OFFSET 0) m ON true
      LEFT JOIN LATERAL (SELECT root FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) g ON true
    WHERE
      e.producer IN (SELECT uuid::text FROM oban_workflow_producers WHERE patience IS NOT NULL)
    ON CONFLICT ON CONSTRAINT oban_workflow_unended_pkey DO NOTHING
    RETURNING
      root
  )
  SELECT
    array_agg(DISTINCT root)
  INTO
    v_roots
  FROM
    noted
  WHERE
    root IS NOT NULL;

  UPDATE
    oban_workflow_groups
  SET
    rules = COALESCE(rules, 0) | 128
  WHERE
    key = ANY(v_roots);

  RETURN v_roots IS NOT NULL;
END;
$$;
