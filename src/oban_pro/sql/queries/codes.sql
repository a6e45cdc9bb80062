-- Code that open jobs name: workers, the functions of our own workers, and conditions. How many jobs of each queue name it, and the
-- first of them.
SELECT
  code.kind,
  code.path,
  j.queue,
  count(*),
  min(j.id)
FROM
  /* TEMPLATE: schema */oban_jobs j
  CROSS JOIN LATERAL (
    VALUES
      ('worker', j.worker),
      (
        CASE
          WHEN j.args ? 'call' THEN 'call'
          WHEN j.worker = 'oban_pro.workers.Final' THEN 'final'
          WHEN j.args ? 'item' OR j.worker = 'oban_pro.workers.Mapper' THEN 'item'
          ELSE 'cascade'
        END,
        CASE WHEN starts_with(j.worker, 'oban_pro.workers.') THEN j.args ->> 'function' END
      ),
      (
        'when',
        CASE
          WHEN j.meta ? 'workflow_id' AND jsonb_typeof(j.meta -> 'workflow_when') = 'string'
          THEN j.meta ->> 'workflow_when'
        END
      ),
      (
        'backoff',
        CASE
          WHEN starts_with(j.worker, 'oban_pro.workers.') AND jsonb_typeof(j.args -> 'backoff') = 'string'
          THEN j.args ->> 'backoff'
        END
      )
  ) AS code(kind, path)
WHERE
  j.state IN ('available', 'scheduled', 'executing', 'retryable', 'suspended')
  AND code.path IS NOT NULL
  AND (%(queues)s::text[] IS NULL OR j.queue = ANY(%(queues)s::text[]))
GROUP BY
  code.kind, code.path, j.queue
ORDER BY
  code.path, code.kind, j.queue
