-- Whether the id of a root workflow is free: none of its jobs is left. A root is inserted with jobs, so somebody has
-- deleted them.
--
-- It looks at some members of each group first. Jobs vanish all together, or those of the earliest groups do, and then
-- one that is left is found at once. All members are read only where next to nothing is left.
--
-- Where row level security hides jobs, one is left unless it is known to be gone.
--
-- Called by: whatever reads a workflow by its id, or is about to replace it. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_is_free_v1(p_root bigint)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  FOR v_look IN 1..2 LOOP
    IF EXISTS (
      SELECT
      FROM
        (SELECT key FROM oban_workflow_groups WHERE root = p_root OFFSET 0) g
        CROSS JOIN LATERAL (
          SELECT
            id
          FROM
            oban_workflow_members
          WHERE
            group_key = g.key
          ORDER BY
            name DESC
          LIMIT
            CASE v_look WHEN 1 THEN 10 END
        ) m
        CROSS JOIN LATERAL (SELECT FROM oban_jobs WHERE id = m.id OFFSET 0) j
    ) THEN
      RETURN false;
    END IF;
  END LOOP;

  RETURN NOT row_security_active('oban_jobs') OR NOT EXISTS (
    SELECT
    FROM
      (SELECT key FROM oban_workflow_groups WHERE root = p_root OFFSET 0) g
      CROSS JOIN LATERAL (
        SELECT FROM oban_workflow_members WHERE group_key = g.key AND id > 0 AND gone IS NULL OFFSET 0
      ) m
  );
END;
$$;
