-- Jobs of a workflow and of all nested in it, by path; or only those in some states, which may be executing, scheduled,
-- retryable, cancelled and discarded: these are found by indexes, some of each group. Those that failed by themselves
-- come before those that an upstream broke. OFFSET 0: see PLANS.md.
WITH tree AS (
  SELECT
    t.key, t.id, t.kind, t.path
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_groups_by_path_v1(g.key) t
  WHERE
    g.id = %(id)s
),
members AS (
  SELECT
    m.id
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = tree.key AND id > 0 OFFSET 0
    ) m
  WHERE
    %(states)s::text[] IS NULL
  UNION ALL
  SELECT
    j.id
  FROM
    /* TEMPLATE: schema */oban_jobs j
    JOIN tree ON tree.id = j.meta ->> 'workflow_id'
  WHERE
    j.state = 'executing'
    AND 'executing' = ANY(%(states)s::text[])
  UNION ALL
  SELECT
    j.id
  FROM
    tree
    CROSS JOIN unnest(%(states)s::text[]) AS s(state)
    CROSS JOIN LATERAL (
      SELECT
        id
      FROM
        /* TEMPLATE: schema */oban_jobs
      WHERE
        meta ->> 'workflow_id' = tree.id
        AND meta ? 'workflow_id'
        AND state = s.state::/* TEMPLATE: schema */oban_job_state
        -- as in the index: IN by itself would be a condition of the index, which reads unordered with it before 17
        AND (state IN ('scheduled', 'retryable', 'cancelled', 'discarded') OR attempt > 1)
      ORDER BY
        id
      LIMIT
        GREATEST(%(limit)s, 30)
    ) j
  WHERE
    s.state IN ('scheduled', 'retryable', 'cancelled', 'discarded')
),
jobs AS (
  SELECT
    members.id,
    j.state,
    /* TEMPLATE: schema */oban_workflow_was_skipped_v1(j.state::text, j.attempt, j.meta) AS skipped,
    j.attempt,
    j.max_attempts,
    j.attempted_at,
    to_jsonb(j.errors) -> -1 ->> 'error' AS error,
    /* TEMPLATE: schema */oban_workflow_upstream_v1(to_jsonb(j.errors)) IS NOT NULL AS caused
  FROM
    members
    LEFT JOIN LATERAL (
      SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = members.id OFFSET 0
    ) j ON true
  ORDER BY
    caused, members.id
  LIMIT
    %(limit)s
)
SELECT
  CASE WHEN tree.kind = 'graft' AND m.name <> 'when' THEN tree.path ELSE tree.path || m.name END AS path,
  CASE WHEN jobs.skipped THEN 'skipped' ELSE COALESCE(jobs.state::text, m.gone, 'unknown') END AS state,
  COALESCE(jobs.attempt, 0) AS attempt,
  COALESCE(jobs.max_attempts, 0) AS max_attempts,
  jobs.attempted_at,
  jobs.error,
  jobs.caused
FROM
  jobs
  CROSS JOIN LATERAL (
    SELECT group_key, name, gone FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = jobs.id OFFSET 0
  ) m
  -- by the member, as the id in the meta of a grafter is that of the workflow around its graft
  JOIN tree ON tree.key = m.group_key
ORDER BY
  jobs.caused, jobs.id
