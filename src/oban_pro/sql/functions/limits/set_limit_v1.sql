-- Set how many members of a fan-out may be open at once; NULL for any number. If slots become free by it, the jobs at
-- the front of the line are released. Open members are not taken back.
--
-- Called by: handles.
-- Locks: the root first, then rows of the three tables, then suspended jobs.
-- Called twice: finds nobody in the line.
CREATE OR REPLACE FUNCTION oban_workflow_set_limit_v1(p_id text, p_path text, p_limit integer)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_group bigint := oban_workflow_lock_member(p_id, p_path);
  v_root bigint := (SELECT root FROM oban_workflow_groups WHERE id = p_id);
BEGIN
  IF NOT EXISTS (
    SELECT
    FROM
      oban_workflow_groups g
    WHERE
      g.key = v_group
      AND (
        g.kind = 'fan_out'
        -- what maps the items of a fan-out, which are not known before
        OR g.kind = 'graft' AND EXISTS (
          SELECT
          FROM
            oban_workflow_members m
            JOIN oban_jobs j ON j.id = m.id
          WHERE
            m.group_key = g.key
            AND j.worker = 'oban_pro.workers.Mapper'
        )
      )
  ) THEN
    RAISE EXCEPTION USING
      MESSAGE = quote_literal(p_path) || ' of workflow ' || quote_literal(p_id) || ' is no fan-out, so it takes no limit',
      ERRCODE = 'OBW15';
  END IF;

  UPDATE oban_workflow_groups SET max_open = p_limit WHERE key = v_group;

  UPDATE
    oban_workflow_groups
  SET
    has_begun = state = 'executing' AND suspended = 0
  WHERE
    parent = v_group
    AND kind = 'graft'
    AND has_begun IS NULL
    AND p_limit IS NOT NULL;

  UPDATE oban_workflow_groups SET rules = COALESCE(rules, 0) | 32 WHERE key = v_root AND COALESCE(rules, 0) & 32 = 0;

  PERFORM set_config('lock_timeout', '25ms', true);
  PERFORM oban_workflow_serve_lines(v_root, ARRAY[v_group]);
END;
$$;
