-- Remove root workflows that have settled and aged, oldest first: jobs and bookkeeping together. Returns how
-- many jobs and roots went, and whether a root is left half removed.
--
-- A root that has more jobs than the limit goes in steps, one for each call: its jobs are taken away limit by
-- limit, and remembered as gone in the state they had settled in; only when none is left goes the
-- bookkeeping. In between all counters are right, and the next call continues, whoever makes it.
--
-- Called by: our pruner.prune, again and again.
-- Locks: the roots first, and passes over those that somebody works on; then the jobs. Gives up after
-- lock_timeout where somebody holds a job and waits for the root, and the caller tries again.
-- Twice: removes what is left.
CREATE OR REPLACE FUNCTION oban_workflow_prune(
  p_max_age double precision,
  p_limit integer,
  OUT jobs integer,
  OUT roots integer,
  OUT partial boolean
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_before timestamp := timezone('UTC', now()) - make_interval(secs => p_max_age);
  v_roots bigint[];
  v_groups bigint[];
  v_members bigint[];
BEGIN
  PERFORM set_config('lock_timeout', '200ms', true);

  WITH aged AS (
    SELECT
      key, inserted_at
    FROM
      oban_workflow_groups
    WHERE
      parent IS NULL
      AND state <> 'executing'
      AND inserted_at <= v_before
      AND COALESCE(stopped_at, inserted_at) <= v_before
    ORDER BY
      inserted_at
    LIMIT
      LEAST(p_limit, 1000)
    FOR UPDATE SKIP LOCKED
  ),
  sized AS (
    SELECT
      aged.key,
      row_number() OVER oldest AS n,
      sum((SELECT sum(g.total) FROM oban_workflow_groups g WHERE g.root = aged.key)) OVER oldest AS size
    FROM
      aged
    WINDOW
      oldest AS (ORDER BY aged.inserted_at, aged.key)
  )
  SELECT
    array_agg(key), bool_or(size > p_limit)
  INTO
    v_roots, partial
  FROM
    sized
  WHERE
    size <= p_limit
    OR n = 1;

  jobs := 0;
  roots := COALESCE(cardinality(v_roots), 0);
  partial := COALESCE(partial, false);

  IF roots = 0 THEN
    RETURN;
  END IF;

  PERFORM set_config('oban_workflows.engine', 'on', true);

  v_groups := ARRAY(SELECT key FROM oban_workflow_groups WHERE root = ANY(v_roots));
  v_members := ARRAY(
    SELECT id FROM oban_workflow_members WHERE group_key = ANY(v_groups) AND id > 0 AND gone IS NULL LIMIT p_limit
  );

  IF cardinality(v_members) < p_limit OR NOT partial THEN
    partial := false;
  END IF;

  WITH deleted AS (
    DELETE FROM
      oban_jobs j
    USING
      unnest(v_members) AS u(id)
    WHERE
      j.id = u.id
    RETURNING
      j.id, j.state::text
  ),
  remembered AS (
    UPDATE
      oban_workflow_members m
    SET
      gone = deleted.state
    FROM
      deleted
    WHERE
      partial
      AND m.id = deleted.id
  )
  SELECT
    count(*)
  INTO
    jobs
  FROM
    deleted;

  IF partial THEN
    roots := 0;
  ELSE
    v_members := ARRAY(SELECT id FROM oban_workflow_members WHERE group_key = ANY(v_groups));

    DELETE FROM oban_workflow_edges e USING unnest(v_members) AS u(id) WHERE e.upstream = u.id;
    DELETE FROM oban_workflow_members m USING unnest(v_members) AS u(id) WHERE m.id = u.id;
    DELETE FROM oban_workflow_groups g USING unnest(v_groups) AS u(key) WHERE g.key = u.key;
  END IF;

  PERFORM set_config('oban_workflows.engine', 'off', true);
END;
$$;
