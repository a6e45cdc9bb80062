-- The first error of each of some root workflows, nested ones included: the last one of the job that was added first among
-- those in a state, which may be discarded, retryable or cancelled. The statement looks at some groups of each workflow, and
-- at some jobs of each. OFFSET 0: see PLANS.md.
SELECT
  asked.id,
  failed.id AS job,
  /* TEMPLATE: schema */oban_workflow_path_v1(failed.id) AS path,
  failed.error
FROM
  unnest(%(ids)s::text[], %(states)s::text[]) AS asked(id, state)
  CROSS JOIN LATERAL (
    SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = asked.id OFFSET 0
  ) root
  CROSS JOIN LATERAL (
    SELECT
      j.id, j.error
    FROM
      (
        SELECT
          g.id
        FROM
          /* TEMPLATE: schema */oban_workflow_groups g
        WHERE
          g.root = root.key
          AND CASE asked.state
            WHEN 'discarded' THEN g.discarded > 0
            WHEN 'cancelled' THEN g.cancelled > 0
            ELSE g.state = 'executing'
          END
        ORDER BY
          g.key DESC
        LIMIT
          100
      ) g
      CROSS JOIN LATERAL (
        SELECT
          id, left(to_jsonb(errors) -> -1 ->> 'error', %(most)s) AS error
        FROM
          /* TEMPLATE: schema */oban_jobs
        WHERE
          meta ->> 'workflow_id' = g.id
          AND meta ? 'workflow_id'
          AND state = asked.state::/* TEMPLATE: schema */oban_job_state
          -- as in the index: IN by itself would be a condition of the index, which reads unordered with it before 17
          AND (state IN ('scheduled', 'retryable', 'cancelled', 'discarded') OR attempt > 1)
        ORDER BY
          id
        LIMIT
          10
      ) j
    WHERE
      j.error IS NOT NULL
    ORDER BY
      j.id
    LIMIT
      1
  ) failed
