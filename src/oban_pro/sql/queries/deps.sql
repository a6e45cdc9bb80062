-- The jobs that a job directly depends on, ordered by id. A group that it depends on stands for all jobs in it, nested ones
-- too. A gated job depends on what its group depends on; if the group is gated, also on what the group around it depends on.
-- OFFSET 0: see PLANS.md.
WITH RECURSIVE upstream AS (
  SELECT
    e.upstream AS id, e.judges
  FROM
    /* TEMPLATE: schema */oban_workflow_gates_v1(%(job)s) AS gates(id)
    CROSS JOIN LATERAL (
      SELECT upstream, judges FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = gates.id OFFSET 0
    ) e
  UNION
  SELECT
    m.id, m.judges
  FROM
    upstream
    CROSS JOIN LATERAL (
      SELECT
        id, NULL::boolean AS judges
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = upstream.id
        AND upstream.id < 0
      UNION ALL
      -- in place of the judge of a group stands what the judge waits for
      SELECT
        upstream, judges
      FROM
        /* TEMPLATE: schema */oban_workflow_edges
      WHERE
        downstream = upstream.id
        AND upstream.judges
    ) m
)
SELECT
  j.id,
  j.state,
  j.queue,
  j.worker,
  j.attempt,
  j.max_attempts,
  j.priority,
  j.args,
  j.meta,
  j.errors,
  j.tags,
  j.attempted_by,
  j.inserted_at,
  j.attempted_at,
  j.cancelled_at,
  j.completed_at,
  j.discarded_at,
  j.scheduled_at
FROM
  upstream
  CROSS JOIN LATERAL (
    SELECT name FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = upstream.id OFFSET 0
  ) m
  CROSS JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = upstream.id OFFSET 0
  ) j
WHERE
  upstream.judges IS NOT TRUE
  AND (%(names)s::text[] IS NULL OR m.name = ANY(%(names)s::text[]))
ORDER BY
  j.id
