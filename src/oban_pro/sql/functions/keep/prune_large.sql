-- Remove a part of a root workflow that is too large to be removed at once. Returns how many jobs were removed, and
-- where the next call begins: NULL when the workflow is gone.
--
-- The jobs are removed first, in the order of the members. The state of each is kept in its member, so all counters
-- stay right, and the jobs that are left can still be retried. Once no job is left, the id of the workflow is free, and
-- the bookkeeping is removed in the same way. "stored" is that of oban_workflow_prune_v2, once all is gone.
--
-- Called by: oban_workflow_prune_workflows.
-- Locks: the jobs, and rows of the three tables; the caller holds the root.
-- Called twice: goes on where p_start says; begins anew with another root.
CREATE OR REPLACE FUNCTION oban_workflow_prune_large(
  p_root bigint,
  p_limit integer,
  p_start jsonb,
  OUT jobs integer,
  OUT next jsonb,
  OUT stored text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_start jsonb := CASE WHEN p_start @> jsonb_build_object('root', p_root) THEN p_start ELSE '{}' END;
  v_step text := COALESCE(v_start ->> 'step', 'jobs');
  -- where the caller forbids to sort, only OFFSET 0 keeps this from all groups in the order of their keys
  v_groups bigint[] := ARRAY(
    SELECT key FROM (SELECT key FROM oban_workflow_groups WHERE root = p_root OFFSET 0) g ORDER BY key
  );
  v_members bigint[];
  v_rules smallint;
  v_last bigint;
BEGIN
  v_members := ARRAY(
    SELECT
      m.id
    FROM
      unnest(v_groups) AS g(key)
      CROSS JOIN LATERAL (
        SELECT
          id
        FROM
          oban_workflow_members
        WHERE
          group_key = g.key
          AND name > CASE WHEN g.key = (v_start ->> 'group')::bigint THEN v_start ->> 'name' ELSE '' END
        ORDER BY
          name
        OFFSET
          0
      ) m
    WHERE
      v_start ->> 'group' IS NULL
      OR g.key >= (v_start ->> 'group')::bigint
    LIMIT
      p_limit
  );

  v_last := GREATEST((v_start ->> 'last')::bigint, (SELECT max(id) FROM unnest(v_members) AS m(id)));

  -- NULL where no member is left
  SELECT
    jsonb_build_object('root', p_root, 'step', v_step, 'group', m.group_key, 'name', m.name, 'last', v_last)
  INTO
    next
  FROM
    oban_workflow_members m
  WHERE
    m.id = v_members[p_limit];

  jobs := 0;

  IF v_step = 'jobs' THEN
    WITH deleted AS (
      DELETE FROM
        oban_jobs
      WHERE
        id = ANY(v_members)
      RETURNING
        id,
        oban_workflow_job_state_v1(state::text, attempt, meta) AS state
    ),
    remembered AS (
      UPDATE
        oban_workflow_members m
      SET
        gone = deleted.state
      FROM
        deleted
      WHERE
        -- ANY: see PLANS.md
        m.id = ANY(ARRAY[deleted.id])
    )
    SELECT
      count(*)
    INTO
      jobs
    FROM
      deleted;

    next := COALESCE(next, jsonb_build_object('root', p_root, 'step', 'members', 'last', v_last));
  ELSE
    v_rules := (SELECT rules FROM oban_workflow_groups WHERE key = p_root);

    PERFORM oban_workflow_remove_waits(v_members || v_groups, v_rules);
    PERFORM oban_workflow_remove_finals(v_members || v_groups, v_rules);

    DELETE FROM oban_workflow_edges WHERE upstream = ANY(v_members);
    DELETE FROM oban_workflow_members WHERE id = ANY(v_members);

    IF next IS NULL THEN
      stored := (
        SELECT
          array_agg(ARRAY[store, id, COALESCE(v_last, 0)::text])
        FROM
          oban_workflow_groups
        WHERE
          key = ANY(v_groups)
          AND store IS NOT NULL
      );

      DELETE FROM oban_workflow_groups WHERE key = ANY(v_groups);
    END IF;
  END IF;
END;
$$;
