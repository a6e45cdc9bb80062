-- Note how everything except the final jobs has settled, in the workflows around the given members. From then on their
-- final jobs wait only for each other. Where something has to be undone first, the graft that undoes it is inserted, and
-- the workflow is open again before anybody is told. Returns the jobs that nothing is pending for; while something settles
-- they are waiting, since that may open their workflow, and come again as p_waiting.
--
-- p_next_ids, p_next_old and p_next_new are what has settled just now; returned without what is open again.
--
-- Called by: oban_workflow_propagate, once the members are counted in their groups.
-- Locks: rows of oban_workflow_ends, of groups and of members; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_end_bodies(
  p_ids bigint[],
  p_waiting bigint[],
  p_next_ids bigint[],
  p_next_old text[],
  p_next_new text[],
  OUT ready bigint[],
  OUT waiting bigint[],
  OUT ids bigint[],
  OUT old text[],
  OUT new text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_around bigint[] := ARRAY(SELECT oban_workflow_ends_around(p_ids));
  v_undone bigint[];
  v_ended bigint[];
BEGIN
  ids := p_next_ids;
  old := p_next_old;
  new := p_next_new;

  SELECT
    array_agg(i.key), p_waiting || array_agg(i.grafter)
  INTO
    v_undone, waiting
  FROM (
    SELECT
      u.key, oban_workflow_insert_undo(u.key, u.queue) AS grafter
    FROM
      oban_workflow_due_undos(
        ARRAY(SELECT group_key FROM oban_workflow_ends WHERE group_key = ANY(v_around) AND outcome IS NULL)
      ) u
  ) i;

  IF v_undone IS NOT NULL THEN
    SELECT
      COALESCE(array_agg(n.id), '{}'), COALESCE(array_agg(n.old), '{}'), COALESCE(array_agg(n.new), '{}')
    INTO
      ids, old, new
    FROM
      unnest(p_next_ids, p_next_old, p_next_new) AS n(id, old, new)
    WHERE
      n.id <> ALL(v_undone);
  END IF;

  WITH ended AS (
    UPDATE
      oban_workflow_ends e
    SET
      outcome = b.outcome
    FROM
      (SELECT a.key, oban_workflow_body_state(a.key) AS outcome FROM unnest(v_around) AS a(key)) b
    WHERE
      -- ANY: see PLANS.md
      e.group_key = ANY(ARRAY[b.key])
      AND e.outcome IS NULL
      AND b.outcome IS NOT NULL
    RETURNING
      e.group_key
  )
  SELECT array_agg(group_key) INTO v_ended FROM ended;

  IF v_ended IS NOT NULL THEN
    WITH counted AS (
      UPDATE
        oban_workflow_members m
      SET
        pending = m.pending - 1
      WHERE
        m.id = ANY(ARRAY(SELECT f.id FROM oban_workflow_finals f WHERE f.group_key = ANY(v_ended)))
      RETURNING
        m.id, m.pending
    )
    SELECT waiting || array_agg(c.id) INTO waiting FROM counted c WHERE c.pending = 0;
  END IF;

  ready := '{}';

  IF cardinality(ids) = 0 THEN
    ready := waiting;
    waiting := '{}';
  END IF;
END;
$$;
