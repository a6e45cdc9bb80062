-- Why jobs of a workflow and of those nested in it failed: the last line of the last error of each that is discarded,
-- will be retried, or was cancelled although it had run; how many have that line, and the first of them. The statement
-- looks at a limited number of jobs.
WITH tree AS (
  SELECT
    t.key, t.id
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_groups_in_v1(g.key) t
  WHERE
    g.id = %(id)s
),
failed AS (
  SELECT
    j.id, j.state::text AS state, left(regexp_replace(rtrim(j.error, E' \n'), E'^.*\n *', ''), 300) AS error
  FROM
    -- most that were cancelled never ran: a few are looked at, as one that ran comes before those that waited for it
    (VALUES ('discarded'::/* TEMPLATE: schema */oban_job_state, %(limit)s), ('retryable', %(limit)s), ('cancelled', 100)) AS s(state, most)
    CROSS JOIN tree
    CROSS JOIN LATERAL (
      SELECT
        id, state, attempted_at, COALESCE(to_jsonb(errors) -> -1 ->> 'error', '') AS error
      FROM
        /* TEMPLATE: schema */oban_jobs
      WHERE
        meta ->> 'workflow_id' = tree.id
        AND meta ? 'workflow_id'
        AND state IN ('scheduled', 'retryable', 'cancelled', 'discarded')
        AND state = s.state
      ORDER BY
        id
      LIMIT
        s.most
    ) j
  WHERE
    j.state <> 'cancelled'
    OR j.attempted_at IS NOT NULL
  LIMIT
    %(limit)s
),
kinds AS (
  SELECT
    error, count(*)::int AS count, min(id) AS first
  FROM
    failed
  GROUP BY
    error
  ORDER BY
    count(*) DESC, min(id)
  LIMIT
    20
)
SELECT
  kinds.error,
  kinds.count,
  kinds.first AS id,
  failed.state,
  (/* TEMPLATE: schema */oban_workflow_path_v1(kinds.first))[
    1 + cardinality((SELECT /* TEMPLATE: schema */oban_workflow_path_v1(key) FROM tree WHERE id = %(id)s)):
  ] AS path
FROM
  kinds
  JOIN failed ON failed.id = kinds.first
ORDER BY
  kinds.count DESC, kinds.first
