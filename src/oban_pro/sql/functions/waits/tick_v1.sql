-- Act on every clock that is due: end waits whose time is up, cancel open jobs whose deadline has come, end pauses and
-- periods. Returns the waits for signals that timed out, and the roots that it passed over because somebody holds them.
--
-- p_root is the key of one root: if another transaction holds that root, this call waits up to a second for it. With
-- NULL it looks at the first p_limit timers that are due, and passes over every root that is held.
--
-- Called by: every node, once a second; for one root, where the root was held twice. It runs with the rights of the tables'
-- owner: clocks of jobs that row level security hides from this node must not wait for another node.
-- Locks: the roots first, then as oban_workflow_expire does.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_tick_v1(p_root bigint, p_limit integer)
RETURNS TABLE (held_root bigint, workflow_id text, name text, path text[])
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_roots bigint[];
  v_locked bigint[];
  v_root bigint;
BEGIN
  IF p_root IS NULL THEN
    v_roots := ARRAY(
      SELECT DISTINCT
        t.root
      FROM
        (SELECT root FROM oban_workflow_timers WHERE due <= v_now ORDER BY due LIMIT p_limit) t
    );

    IF v_roots = '{}' THEN
      RETURN;
    END IF;

    v_locked := ARRAY(
      SELECT key FROM oban_workflow_groups WHERE key = ANY(v_roots) ORDER BY key FOR NO KEY UPDATE SKIP LOCKED
    );
  ELSE
    v_roots := ARRAY[p_root];

    PERFORM set_config('lock_timeout', '1s', true);

    v_locked := ARRAY(SELECT key FROM oban_workflow_groups WHERE key = p_root FOR NO KEY UPDATE);
  END IF;

  PERFORM set_config('lock_timeout', '200ms', true);

  FOREACH v_root IN ARRAY v_roots LOOP
    IF v_root = ANY(v_locked) THEN
      BEGIN
        RETURN QUERY
        SELECT
          NULL::bigint, g.id, g.name, oban_workflow_path_v1(e.id)
        FROM
          oban_workflow_expire(v_root, v_now) AS e(id)
          JOIN oban_workflow_groups g ON g.key = v_root;

        CONTINUE;
      EXCEPTION
        WHEN lock_not_available THEN
          -- somebody holds one of its jobs
          NULL;
      END;
    END IF;

    IF EXISTS (SELECT FROM oban_workflow_groups WHERE key = v_root) THEN
      held_root := v_root;
      RETURN NEXT;
    ELSE
      DELETE FROM oban_workflow_timers WHERE root = v_root;
    END IF;
  END LOOP;
END;
$$;
