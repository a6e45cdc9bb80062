-- Note which groups, whose gates have just opened, skip everything behind the gate: because all their dependencies were
-- skipped, because the judge said no, or because the gate of the group around skips.
--
-- Called by: oban_workflow_open_gates, outer groups before inner ones; oban_workflow_admit_v1.
-- Locks: rows of groups; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_note_skips(p_groups bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE
    oban_workflow_groups g
  SET
    skips = true
  WHERE
    g.key = ANY(ARRAY(
      SELECT
        s.id
      FROM
        oban_workflow_all_skipped(p_groups) s
      UNION
      SELECT
        m.id
      FROM
        oban_workflow_members m
        CROSS JOIN LATERAL (SELECT skips FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) around
      WHERE
        m.id = ANY(p_groups)
        AND m.gated
        AND around.skips
    ))
    AND g.skips IS NULL;
END;
$$;
