-- Cancel suspended jobs whose dependencies broke, and settle empty groups as cancelled. A broken group breaks
-- everything that waits for its gate, at any depth. Returns the jobs that were cancelled, and the groups that have
-- settled.
--
-- p_ids are jobs and groups, p_causes what broke each, p_counts how many of its dependencies broke just now; p_settled are
-- those causes and more, p_new how they have settled; p_rules are the rare rules of the roots: by them groups that
-- have never opened may have final jobs.
--
-- Called by: oban_workflow_propagate, whose settings of the planner it runs with.
-- Locks: rows of groups, then suspended jobs; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_break_members(
  p_ids bigint[],
  p_causes bigint[],
  p_counts integer[],
  p_settled bigint[],
  p_new text[],
  p_rules smallint,
  OUT jobs bigint[],
  OUT emptied bigint[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_ids bigint[] := p_ids;
  v_causes bigint[] := p_causes;
  -- what an error says besides
  v_notes text[];
BEGIN
  IF p_rules & 2 > 0 THEN
    SELECT b.ids, b.causes, b.notes FROM oban_workflow_count_broken(p_ids, p_causes, p_counts) b INTO v_ids, v_causes, v_notes;
  END IF;

  -- the ids ascend: groups, which are negative, come first
  IF v_ids[1] < 0 THEN
    WITH RECURSIVE broken AS (
      SELECT
        b.id, b.cause, b.note
      FROM
        unnest(v_ids, v_causes, v_notes) AS b(id, cause, note)
      UNION ALL
      SELECT
        m.id, broken.cause, broken.note
      FROM
        broken
        -- OFFSET 0: see PLANS.md
        CROSS JOIN LATERAL (
          SELECT id FROM oban_workflow_members WHERE group_key = broken.id AND gated OFFSET 0
        ) m
      WHERE
        broken.id < 0
    )
    SELECT
      array_agg(id), array_agg(cause), array_agg(note)
    INTO
      v_ids, v_causes, v_notes
    FROM
      broken;

    IF p_rules & 16 > 0 THEN
      SELECT
        v_ids || array_agg(f.id), v_causes || array_agg(b.cause), v_notes || array_agg(b.note)
      INTO
        v_ids, v_causes, v_notes
      FROM
        unnest(v_ids, v_causes, v_notes) AS b(id, cause, note)
        CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_ends WHERE group_key = b.id AND NOT opened OFFSET 0) e
        CROSS JOIN LATERAL (SELECT id FROM oban_workflow_finals WHERE group_key = e.group_key OFFSET 0) f;
    END IF;

    WITH settled AS (
      UPDATE
        oban_workflow_groups g
      SET
        empty_state = 'cancelled'
      WHERE
        g.key = ANY(v_ids)
        AND g.total + g.subs = 0
        AND g.empty_state = 'executing'
      RETURNING
        g.key
    )
    SELECT
      array_agg(s.key)
    INTO
      emptied
    FROM
      settled s;
  END IF;

  WITH causes AS MATERIALIZED (
    SELECT
      w.id, oban_workflow_member_label_v1(w.id) || ' was ' || w.new AS text
    FROM
      unnest(p_settled, p_new) AS w(id, new)
      JOIN (SELECT DISTINCT cause FROM unnest(v_causes) AS u(cause)) c ON c.cause = w.id
  ),
  broken AS MATERIALIZED (
    SELECT
      b.id, b.cause, concat(causes.text, b.note) AS text
    FROM
      unnest(v_ids, v_causes, v_notes) AS b(id, cause, note)
      JOIN causes ON causes.id = b.cause
  ),
  cancelled AS (
    UPDATE
      oban_jobs j
    SET
      state = 'cancelled',
      cancelled_at = timezone('UTC', now()),
      errors = j.errors || oban_workflow_job_error(j.attempt, b.text, timezone('UTC', now()), b.cause)
    FROM
      broken b
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[b.id])
      AND (j.state = 'suspended') IS TRUE
    RETURNING
      j.id
  )
  SELECT
    array_agg(c.id)
  INTO
    jobs
  FROM
    cancelled c;

  IF p_rules & 256 > 0 THEN
    PERFORM oban_workflow_void_tolerances(
      jobs || ARRAY(SELECT key FROM oban_workflow_groups WHERE key = ANY(v_ids) AND judged IS NOT NULL)
    );
  END IF;
END;
$$;
