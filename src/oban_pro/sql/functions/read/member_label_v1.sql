-- Name a member the way an error of ours reads: job 'extract', sub-workflow 'notify'.
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
    END || ' ''' || m.name || ''''
  FROM
    oban_workflow_members m
    LEFT JOIN oban_workflow_groups g ON g.key = m.id
  WHERE
    m.id = p_id
$$;
