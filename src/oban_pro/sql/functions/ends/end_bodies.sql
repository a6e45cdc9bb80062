-- Note how everything except the final jobs has settled, in the workflows around the given members. From then on their
-- final jobs wait only for each other. Returns the final jobs that nothing is pending for.
--
-- Called by: oban_workflow_propagate, once the members are counted in their groups.
-- Locks: rows of oban_workflow_ends and of members; the caller holds the root.
-- Twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_end_bodies(p_ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_ended bigint[];
  v_ready bigint[];
BEGIN
  WITH ended AS (
    UPDATE
      oban_workflow_ends e
    SET
      outcome = b.outcome
    FROM
      (
        SELECT
          a.key, oban_workflow_body_state(a.key) AS outcome
        FROM
          oban_workflow_ends_around(p_ids) AS a(key)
      ) b
    WHERE
      -- ANY: see PLANS.md
      e.group_key = ANY(ARRAY[b.key])
      AND e.outcome IS NULL
      AND b.outcome IS NOT NULL
    RETURNING
      e.group_key
  )
  SELECT array_agg(group_key) INTO v_ended FROM ended;

  IF v_ended IS NULL THEN
    RETURN '{}';
  END IF;

  WITH counted AS (
    UPDATE
      oban_workflow_members m
    SET
      pending = m.pending - 1
    WHERE
      m.id = ANY(ARRAY(SELECT id FROM oban_workflow_finals WHERE group_key = ANY(v_ended)))
    RETURNING
      m.id, m.pending
  )
  SELECT array_agg(c.id) INTO v_ready FROM counted c WHERE c.pending = 0;

  RETURN COALESCE(v_ready, '{}');
END;
$$;
