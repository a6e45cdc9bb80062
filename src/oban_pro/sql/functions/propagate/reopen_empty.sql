-- Close the gates inside groups whose own gates have closed, and open empty groups again that had settled by their
-- gates; returns those groups, and how they had settled.
--
-- p_closed are groups whose gates close, p_mended groups with one broken dependency less; p_rules are the rare rules of
-- the roots.
--
-- Called by: oban_workflow_reopen.
-- Locks: rows of members and groups; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_reopen_empty(
  p_closed bigint[],
  p_mended bigint[],
  p_rules smallint,
  OUT ids bigint[],
  OUT old text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH closed AS MATERIALIZED (
    SELECT key FROM oban_workflow_gated_groups_in(p_closed)
  ),
  counted AS (
    UPDATE
      oban_workflow_members m
    SET
      pending = m.pending + 1
    FROM
      closed
    WHERE
      m.id = ANY(ARRAY[closed.key])
      AND m.gated
  ),
  reached AS (
    SELECT key, 'completed' AS empty_state FROM closed
    UNION ALL
    SELECT key, 'cancelled' FROM oban_workflow_gated_groups_in(p_mended)
  ),
  emptied AS (
    UPDATE
      oban_workflow_groups g
    SET
      empty_state = 'executing'
    FROM
      reached r
    WHERE
      g.key = ANY(ARRAY[r.key])
      AND g.total + g.subs = 0
      AND g.empty_state = r.empty_state
      AND (r.empty_state = 'completed' OR NOT oban_workflow_gate_broken(g.key, p_rules))
    RETURNING
      g.key, CASE WHEN g.skips AND r.empty_state = 'completed' THEN 'skipped' ELSE r.empty_state END AS old
  )
  SELECT
    COALESCE(array_agg(e.key), '{}'), COALESCE(array_agg(e.old), '{}')
  INTO
    ids, old
  FROM
    emptied e;
END;
$$;
