-- The fan-out along which a fan-out runs: each job of the one depends on the job of its name in the other. NULL for any
-- other group. It reads one job of the fan-out, as all of them are alike.
--
-- Called by: queries that draw workflows. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_along_v1(p_group bigint)
RETURNS bigint
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    beside.key
  FROM
    (SELECT id FROM oban_workflow_members WHERE group_key = p_group AND id > 0 LIMIT 1) item
    CROSS JOIN LATERAL (SELECT upstream FROM oban_workflow_edges WHERE downstream = item.id OFFSET 0) e
    CROSS JOIN LATERAL (
      SELECT group_key FROM oban_workflow_members WHERE id = e.upstream AND id > 0 AND group_key <> p_group OFFSET 0
    ) u
    CROSS JOIN LATERAL (
      SELECT key FROM oban_workflow_groups WHERE key = u.group_key AND kind = 'fan_out' OFFSET 0
    ) beside
  LIMIT
    1
$$;
