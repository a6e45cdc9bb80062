-- Open the gates of groups that nothing is pending for any more, and the gates of gated groups in them, at any depth.
-- Returns the jobs that waited only for these gates, and the empty groups, which settle now as completed or skipped.
-- p_rules are the rare rules of the roots, p_now is when the clocks of the groups start.
--
-- Called by: oban_workflow_propagate, whose settings of the planner it runs with.
-- Locks: rows of groups and members; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_open_gates(
  p_groups bigint[],
  p_now timestamp,
  p_rules smallint,
  OUT jobs bigint[],
  OUT emptied bigint[],
  OUT new text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_opened bigint[] := p_groups;
  v_some bigint[];
  v_how text[];
BEGIN
  jobs := '{}';
  emptied := '{}';
  new := '{}';

  WHILE v_opened IS NOT NULL LOOP
    IF p_rules & 8 > 0 THEN
      PERFORM oban_workflow_start_clocks(v_opened, p_now);
    END IF;

    IF p_rules & 4 > 0 THEN
      PERFORM oban_workflow_note_skips(v_opened);
    END IF;

    IF p_rules & 16 > 0 THEN
      UPDATE oban_workflow_ends SET opened = true WHERE group_key = ANY(v_opened) AND NOT opened;

      -- those of an empty workflow start at once
      jobs := jobs || ARRAY(SELECT id FROM oban_workflow_finals WHERE group_key = ANY(v_opened));
    END IF;

    WITH settled AS (
      UPDATE
        oban_workflow_groups g
      SET
        empty_state = 'completed'
      WHERE
        g.key = ANY(v_opened)
        AND g.total + g.subs = 0
      RETURNING
        g.key, CASE WHEN g.skips THEN 'skipped' ELSE 'completed' END AS how
    )
    SELECT
      array_agg(s.key), array_agg(s.how)
    INTO
      v_some, v_how
    FROM
      settled s;

    emptied := emptied || v_some;
    new := new || v_how;
    jobs := jobs || ARRAY(
      SELECT m.id FROM oban_workflow_members m WHERE m.group_key = ANY(v_opened) AND m.gated AND m.id > 0
    );

    WITH counted AS (
      UPDATE
        oban_workflow_members m
      SET
        pending = m.pending - 1
      WHERE
        m.id = ANY(ARRAY(SELECT key FROM oban_workflow_groups WHERE parent = ANY(v_opened)))
        AND m.gated
      RETURNING
        m.id
    )
    SELECT
      array_agg(c.id)
    INTO
      v_opened
    FROM
      counted c;
  END LOOP;
END;
$$;
