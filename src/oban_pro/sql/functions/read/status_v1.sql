-- Counters of a workflow and of all workflows nested in it, parents first; nothing if its id is free. Settled and
-- suspended jobs are kept counted; of the others, those that execute are few on a cluster and those that wait for a
-- time have an index of their own; what remains is available.
--
-- Called by: status(). Locks nothing. It is asked often, so its plan is kept: each join is a lookup.
CREATE OR REPLACE FUNCTION oban_workflow_status_v1(p_id text)
RETURNS TABLE (
  key bigint,
  parent bigint,
  id text,
  name text,
  sub_name text,
  kind text,
  state text,
  total integer,
  suspended integer,
  scheduled integer,
  executing integer,
  retryable integer,
  completed integer,
  cancelled integer,
  discarded integer,
  started_at timestamp,
  stopped_at timestamp
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
-- what is looked up needs a nested loop, and has no other way; groups are joined by hash
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE tree AS (
    SELECT
      g.key, 0 AS depth, NULL::text AS sub_name
    FROM
      oban_workflow_groups g
    WHERE
      g.id = p_id
    UNION ALL
    SELECT
      g.key, tree.depth + 1, m.name
    FROM
      tree
      CROSS JOIN LATERAL (SELECT key FROM oban_workflow_groups WHERE parent = tree.key OFFSET 0) g
      CROSS JOIN LATERAL (SELECT name FROM oban_workflow_members WHERE id = g.key OFFSET 0) m
  ),
  groups AS MATERIALIZED (
    SELECT
      tree.depth, tree.sub_name, g.*
    FROM
      tree
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE key = tree.key OFFSET 0) g
  ),
  executing AS MATERIALIZED (
    SELECT
      j.meta ->> 'workflow_id' AS workflow_id, j.attempted_at
    FROM
      oban_jobs j
    WHERE
      j.state = 'executing'
      AND EXISTS (SELECT FROM groups WHERE state = 'executing')
  ),
  active AS (
    SELECT
      g.key, 'executing' AS state, e.attempted_at
    FROM
      executing e
      JOIN groups g ON g.id = e.workflow_id
    UNION ALL
    SELECT
      g.key, j.state::text, j.attempted_at
    FROM
      groups g
      CROSS JOIN LATERAL (
        SELECT
          state, attempted_at
        FROM
          oban_jobs
        WHERE
          meta ->> 'workflow_id' = g.id
          AND state IN ('scheduled', 'retryable')
          AND meta ? 'workflow_id'
        OFFSET
          0
      ) j
    WHERE
      g.state = 'executing'
  ),
  open AS (
    SELECT
      a.key,
      count(*) FILTER (WHERE a.state = 'scheduled')::int AS scheduled,
      count(*) FILTER (WHERE a.state = 'executing')::int AS executing,
      count(*) FILTER (WHERE a.state = 'retryable')::int AS retryable,
      min(a.attempted_at) AS started_at
    FROM
      active a
    GROUP BY
      a.key
  )
  SELECT
    g.key,
    g.parent,
    g.id,
    g.name,
    g.sub_name,
    g.kind,
    g.state,
    g.total,
    g.suspended,
    COALESCE(o.scheduled, 0) AS scheduled,
    COALESCE(o.executing, 0) AS executing,
    COALESCE(o.retryable, 0) AS retryable,
    g.completed,
    g.cancelled,
    g.discarded,
    LEAST(g.started_at, o.started_at) AS started_at,
    g.stopped_at
  FROM
    groups g
    LEFT JOIN open o ON o.key = g.key
  WHERE
    EXISTS (SELECT FROM open)
    OR NOT oban_workflow_is_free_v1((SELECT root FROM groups LIMIT 1))
  ORDER BY
    g.depth, g.key DESC;
END;
$$;
