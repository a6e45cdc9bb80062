-- The next jobs of some groups, group after group, by name: those of the first one after a given name. When each was
-- inserted, was due, was taken last, and settled. The loops keep that order, and stop at the limit; OFFSET 0 keeps to
-- lookups by key, whatever is known of the tables.
SELECT
  k.n,
  m.name,
  COALESCE(/* TEMPLATE: schema */oban_workflow_job_state_v1(j.state::text, j.attempt, j.meta), m.gone, 'unknown') AS state,
  COALESCE(j.attempt, 0) AS attempts,
  j.inserted_at,
  j.scheduled_at,
  j.attempted_at,
  CASE j.state
    WHEN 'completed' THEN j.completed_at
    WHEN 'cancelled' THEN j.cancelled_at
    WHEN 'discarded' THEN j.discarded_at
  END AS settled_at
FROM
  unnest(%(keys)s::bigint[]) WITH ORDINALITY AS k(key, n)
  CROSS JOIN LATERAL (
    SELECT
      id, name, gone
    FROM
      /* TEMPLATE: schema */oban_workflow_members
    WHERE
      group_key = k.key
      AND name > CASE WHEN k.n = 1 THEN %(after)s ELSE '' END
      AND id > 0
    ORDER BY
      name
    LIMIT
      %(limit)s
  ) m
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
  ) j ON true
LIMIT
  %(limit)s
