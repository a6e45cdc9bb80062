-- Jobs of a workflow and of those nested in it that were cancelled or discarded, its own final jobs left out: discarded
-- ones first, 100 at most. A grafter belongs to the workflow around its graft.
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
    j.id, j.state, j.error
  FROM
    (VALUES ('discarded'::/* TEMPLATE: schema */oban_job_state), ('cancelled')) AS s(state)
    CROSS JOIN tree
    CROSS JOIN LATERAL (
      SELECT
        id, state, to_jsonb(errors) -> -1 ->> 'error' AS error
      FROM
        /* TEMPLATE: schema */oban_jobs
      WHERE
        meta ->> 'workflow_id' = tree.id
        AND meta ? 'workflow_id'
        AND state IN ('scheduled', 'retryable', 'cancelled', 'discarded')
        AND state = s.state
        AND id NOT IN (
          SELECT
            f.id
          FROM
            /* TEMPLATE: schema */oban_workflow_finals f
            JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = f.group_key
          WHERE
            g.id = %(id)s
        )
      ORDER BY
        id
      LIMIT
        100
    ) j
  ORDER BY
    j.state = 'cancelled', j.id
  LIMIT
    100
)
SELECT
  (/* TEMPLATE: schema */oban_workflow_path_v1(failed.id))[
    1 + cardinality((SELECT /* TEMPLATE: schema */oban_workflow_path_v1(key) FROM tree WHERE id = %(id)s)):
  ] AS path,
  failed.state::text AS state,
  failed.error
FROM
  failed
ORDER BY
  failed.state = 'cancelled', failed.id
