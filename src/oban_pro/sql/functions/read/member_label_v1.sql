-- Name a member the way an error of ours reads: job 'extract', sub-workflow 'notify', job 'load/17' of a fan-out.
--
-- Called by: oban_workflow_propagate, only for what breaks. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_member_label_v1(p_id bigint)
RETURNS text
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    CASE g.kind
      WHEN 'sub' THEN 'sub-workflow'
      WHEN 'fan_out' THEN 'fan-out'
      WHEN 'graft' THEN 'graft'
      ELSE 'job'
    END || ' ''' || COALESCE(around.name || '/', '') || m.name || ''''
  FROM
    oban_workflow_members m
    LEFT JOIN oban_workflow_groups g ON g.key = m.id
    LEFT JOIN LATERAL (
      SELECT
        f.name
      FROM
        (SELECT key FROM oban_workflow_groups WHERE key = m.group_key AND m.id > 0 AND kind = 'fan_out' OFFSET 0) fan_out
        CROSS JOIN LATERAL (SELECT name FROM oban_workflow_members WHERE id = fan_out.key OFFSET 0) f
    ) around ON true
  WHERE
    m.id = p_id
$$;
