-- What other programs may read: one row for each workflow, nested ones included, with its own jobs counted by state,
-- and the queues and workers of up to 2,000 of them. Oban Web looks for a relation of this name. Settled and suspended
-- jobs are kept counted. What has to be looked up is in subqueries, as those run for the rows that a LIMIT leaves
-- and not for those that it takes away.
CREATE OR REPLACE VIEW oban_workflows AS
SELECT
  w.id,
  w.name,
  w.parent_id,
  w.kind,
  w.state,
  w.meta,
  w.suspended,
  w.total - w.suspended - w.completed - w.cancelled - w.discarded - w.executing - w.scheduled - w.retryable AS available,
  w.scheduled,
  w.executing,
  w.retryable,
  w.completed,
  w.cancelled,
  w.discarded,
  w.inserted_at,
  w.started_at,
  CASE WHEN w.state <> 'executing' THEN w.stopped_at END AS completed_at
FROM
  (
    SELECT
      g.*,
      p.id AS parent_id,
      (
        SELECT
          jsonb_build_object(
            'queues', COALESCE(jsonb_agg(DISTINCT j.queue), '[]'),
            'workers', COALESCE(jsonb_agg(DISTINCT j.worker), '[]')
          )
        FROM
          (SELECT id FROM oban_workflow_members WHERE group_key = g.key AND id > 0 LIMIT 2000) m
          CROSS JOIN LATERAL (SELECT queue, worker FROM oban_jobs WHERE id = m.id OFFSET 0) j
      ) AS meta,
      (
        SELECT
          count(*)::int
        FROM
          oban_jobs j
          JOIN oban_workflow_members m ON m.id = j.id
        WHERE
          g.state = 'executing'
          AND m.group_key = g.key
          AND j.state = 'executing'
      ) AS executing,
      (
        SELECT
          count(*)::int
        FROM
          oban_jobs j
        WHERE
          g.state = 'executing'
          AND j.meta ->> 'workflow_id' = g.id
          AND j.meta ? 'workflow_id'
          AND j.state = 'scheduled'
      ) AS scheduled,
      (
        SELECT
          count(*)::int
        FROM
          oban_jobs j
        WHERE
          g.state = 'executing'
          AND j.meta ->> 'workflow_id' = g.id
          AND j.meta ? 'workflow_id'
          AND j.state = 'retryable'
      ) AS retryable
    FROM
      oban_workflow_groups g
      LEFT JOIN oban_workflow_groups p ON p.key = g.parent
  ) w;
