-- Note which cancelled jobs have done their work all the same, or may have, and what they recorded: only their undos read
-- this. Jobs that waited for the end of their undo run again.
--
-- p_ids are jobs whose executions have ended, p_acks as for oban_workflow_end_executions.
--
-- Called by: oban_workflow_end_executions.
-- Locks: rows of oban_workflow_undos; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_note_late(p_ids bigint[], p_acks json)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE
    oban_workflow_undos u
  SET
    ran = true,
    late = l.late
  FROM (
    SELECT
      i.id, a.value #>> '{meta,return}' AS late
    FROM
      unnest(p_ids) AS i(id)
      LEFT JOIN json_array_elements(p_acks) a ON (a.value ->> 'id')::bigint = i.id
    WHERE
      COALESCE(a.value ->> 'state', 'completed') = 'completed'
      -- what its condition skipped did nothing
      AND a.value #> '{meta,skipped}' IS NULL
      AND (SELECT state IN ('cancelled', 'discarded') FROM oban_jobs WHERE id = i.id)
  ) l
  WHERE
    -- ANY: see PLANS.md
    u.id = ANY(ARRAY[l.id]);

  UPDATE
    oban_workflow_undos u
  SET
    undo_id = NULL
  WHERE
    u.undo_id = ANY(p_ids)
    AND (SELECT NOT oban_workflow_is_settled_v1(state::text) FROM oban_jobs WHERE id = u.id);
END;
$$;
