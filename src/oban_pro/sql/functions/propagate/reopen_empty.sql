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
  WITH RECURSIVE closed AS (
    SELECT
      id
    FROM
      unnest(p_closed) AS u(id)
    UNION ALL
    SELECT
      m.id
    FROM
      closed
      -- OFFSET 0: see PLANS.md
      CROSS JOIN LATERAL (
        SELECT id FROM oban_workflow_members WHERE group_key = closed.id AND gated OFFSET 0
      ) m
    WHERE
      closed.id < 0
  ),
  counted AS (
    UPDATE
      oban_workflow_members m
    SET
      pending = m.pending + 1
    FROM
      closed
    WHERE
      m.id = ANY(ARRAY[closed.id])
      AND m.id < 0
      AND m.gated
  ),
  mended AS (
    SELECT
      id
    FROM
      unnest(p_mended) AS u(id)
    UNION
    SELECT
      m.id
    FROM
      mended
      CROSS JOIN LATERAL (
        SELECT id FROM oban_workflow_members WHERE group_key = mended.id AND gated AND id < 0 OFFSET 0
      ) m
  ),
  reached AS (
    SELECT id, 'completed' AS empty_state FROM closed WHERE id < 0
    UNION ALL
    SELECT id, 'cancelled' FROM mended
  ),
  emptied AS (
    UPDATE
      oban_workflow_groups g
    SET
      empty_state = 'executing'
    FROM
      reached r
    WHERE
      g.key = ANY(ARRAY[r.id])
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
