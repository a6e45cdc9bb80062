-- Remove root workflows that have settled and aged, oldest first: jobs and bookkeeping together. Returns how many jobs
-- were removed, and where the next call begins: NULL when nothing is left. "stored" is that of oban_workflow_prune_v2.
--
-- A workflow with a job that row level security hides is left to a role that sees all of it.
--
-- Called by: oban_workflow_prune_v2.
-- Locks: the roots first, skipping locked ones; then the jobs. A workflow with a locked job is skipped for the rest of
-- the pass.
-- Called twice: removes what is left.
CREATE OR REPLACE FUNCTION oban_workflow_prune_workflows(
  p_before timestamp,
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
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
DECLARE
  v_filtered boolean := row_security_active('oban_jobs');
  v_held jsonb := COALESCE(p_start -> 'held', '[]');
  v_root record;
  v_roots bigint[] := '{}';
  v_rules smallint := 0;
  v_size bigint := 0;
  v_groups bigint[];
  v_stored boolean;
  v_large record;
BEGIN
  -- A loop locks few more roots than it removes.
  FOR v_root IN
    SELECT
      r.key,
      r.settled_at,
      r.rules,
      (SELECT sum(g.total + g.subs) FROM oban_workflow_groups g WHERE g.root = r.key) AS size
    FROM
      oban_workflow_groups r
    WHERE
      r.parent IS NULL
      AND r.settled_at >= COALESCE((p_start ->> 'at')::timestamp, '-infinity')
      AND r.settled_at <= p_before
      AND NOT v_held @> to_jsonb(r.key)
      -- somebody keeps it
      AND (r.kept_until <= timezone('UTC', now())) IS NOT FALSE
      -- an execution has not ended
      AND COALESCE(r.rules & 128, 0) = 0
      -- it holds its key, or is to hand it over
      AND (
        COALESCE(r.rules & 1024, 0) = 0
        OR NOT EXISTS (
          SELECT
          FROM
            oban_workflow_keys k
          WHERE
            k.key = r.unique_key
            AND (
              k.former = r.key
              OR k.holder = r.key AND COALESCE(k.held_until, 'infinity') > timezone('UTC', now())
            )
          UNION ALL
          SELECT FROM oban_workflow_timers t WHERE t.target = r.key AND t.kind = 'hand_over'
        )
      )
      AND (
        NOT v_filtered
        OR NOT EXISTS (
          SELECT
          FROM
            (SELECT key FROM oban_workflow_groups WHERE root = r.key OFFSET 0) g
            CROSS JOIN LATERAL (
              SELECT id FROM oban_workflow_members WHERE group_key = g.key AND id > 0 AND gone IS NULL OFFSET 0
            ) m
          WHERE
            NOT EXISTS (SELECT FROM oban_jobs WHERE id = m.id)
        )
      )
    ORDER BY
      r.settled_at
    FOR UPDATE OF r SKIP LOCKED
  LOOP
    v_size := v_size + v_root.size;

    IF v_size > p_limit OR cardinality(v_roots) = 1000 THEN
      next := jsonb_build_object('at', v_root.settled_at, 'held', v_held);
      EXIT;
    END IF;

    v_roots := v_roots || v_root.key;
    v_rules := v_rules | COALESCE(v_root.rules, 0::smallint);
  END LOOP;

  PERFORM set_config('lock_timeout', '200ms', true);

  IF v_roots = '{}' AND next IS NOT NULL THEN
    SELECT * FROM oban_workflow_prune_large(v_root.key, p_limit, p_start) INTO v_large;

    jobs := v_large.jobs;
    stored := v_large.stored;
    next := next || COALESCE(v_large.next, '{}');
  ELSE
    SELECT
      COALESCE(array_agg(key), '{}'), COALESCE(bool_or(store IS NOT NULL), false)
    INTO
      v_groups, v_stored
    FROM
      oban_workflow_groups
    WHERE
      root = ANY(v_roots);

    IF v_stored THEN
      stored := oban_workflow_stored_v1(v_groups);
    END IF;

    DELETE FROM
      oban_jobs
    WHERE
      id = ANY(ARRAY(SELECT id FROM oban_workflow_members WHERE group_key = ANY(v_groups) AND id > 0));

    GET DIAGNOSTICS jobs = ROW_COUNT;

    PERFORM oban_workflow_remove_groups(v_groups, v_rules);
  END IF;
EXCEPTION
  WHEN lock_not_available THEN
    jobs := 0;
    next := p_start || jsonb_build_object(
      'held',
      v_held || CASE
        WHEN v_roots = '{}' THEN to_jsonb(v_root.key)
        ELSE to_jsonb(ARRAY(
          SELECT
            r.key
          FROM
            unnest(v_roots) AS r(key)
          WHERE
            EXISTS (
              SELECT
              FROM
                oban_workflow_groups g
                JOIN oban_workflow_members m ON m.group_key = g.key
                JOIN oban_jobs j ON j.id = m.id
              WHERE
                g.root = r.key
                AND NOT EXISTS (SELECT FROM oban_jobs WHERE id = j.id FOR UPDATE SKIP LOCKED)
            )
        ))
      END
    );
END;
$$;
