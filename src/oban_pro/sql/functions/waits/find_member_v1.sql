-- Find a member of a workflow by its path: a name, or names joined by "/" for one that is nested. A path that is the
-- name of a member means that member; else it is split at each "/" that no "\" precedes. A graft is transparent. Returns
-- the id of a job, or the key of a group; NULL if no member has that path.
--
-- Called by: oban_workflow_signal_v1 and its siblings. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_find_member_v1(p_group bigint, p_path text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_group bigint := p_group;
  v_id bigint;
  v_name text;
BEGIN
  SELECT id INTO v_id FROM oban_workflow_members WHERE group_key = p_group AND name = p_path;

  IF v_id IS NOT NULL THEN
    RETURN v_id;
  END IF;

  FOR v_name IN
    SELECT
      regexp_replace(part[1], '\\([\\/])', '\1', 'g')
    FROM
      regexp_matches(p_path || '/', '((?:\\.|[^\\/])*)/', 'g') AS part
  LOOP
    -- what was grafted lies below the name of the graft
    IF EXISTS (SELECT FROM oban_workflow_groups WHERE key = v_group AND kind = 'graft') THEN
      SELECT id INTO v_group FROM oban_workflow_members WHERE group_key = v_group AND id < 0;
    END IF;

    SELECT id INTO v_id FROM oban_workflow_members WHERE group_key = v_group AND name = v_name;

    IF v_id IS NULL THEN
      RETURN NULL;
    END IF;

    v_group := v_id;
  END LOOP;

  RETURN v_id;
END;
$$;
