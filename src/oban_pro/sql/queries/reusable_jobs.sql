-- The stored jobs at the same paths as some new ones, each with the reason why its result cannot be reused; NULL if it can.
-- What differs from new job to new job comes as arrays of equal length, what many share as one row per shape; the key of a
-- shape is that of the group to look in. OFFSET 0: see PLANS.md.
WITH shapes AS MATERIALIZED (
  SELECT
    *
  FROM
    json_to_recordset(%(shapes)s::json) AS s(
      n integer,
      key bigint,
      worker text,
      is_function boolean,
      condition jsonb
    )
)
SELECT
  r.n,
  j.id,
  CASE
    WHEN m.id IS NULL THEN 'absent'
    WHEN j.id IS NULL THEN 'deleted'
    WHEN j.state <> 'completed' THEN j.state::text
    WHEN j.attempt = 0 AND j.meta ? 'skipped' OR j.meta -> 'workflow_judged' = 'false' THEN 'skipped'
    WHEN j.worker <> s.worker THEN 'worker'
    -- as they are stored: 1 and 1.0 differ
    WHEN NOT record_image_eq(ROW(j.args), ROW(r.args)) AND (
      NOT s.is_function OR (j.args - %(bounds)s::text[])::text <> (r.args - %(bounds)s::text[])::text
    ) THEN CASE WHEN s.is_function AND j.args ->> 'function' <> r.args ->> 'function' THEN 'function' ELSE 'args' END
    WHEN j.meta -> 'workflow_when' IS DISTINCT FROM s.condition THEN 'condition'
    WHEN j.meta -> 'deps' <> r.deps THEN 'deps'
  END AS reason
FROM
  ROWS FROM (
    unnest(%(numbers)s::integer[]),
    unnest(%(shape_numbers)s::integer[]),
    jsonb_array_elements_text(%(names)s::jsonb),
    jsonb_array_elements(%(args)s::jsonb),
    jsonb_array_elements(%(deps)s::jsonb)
  ) AS r(n, shape, name, args, deps)
  JOIN shapes s ON s.n = r.shape
  LEFT JOIN LATERAL (
    SELECT
      id
    FROM
      /* TEMPLATE: schema */oban_workflow_members
    WHERE
      group_key = s.key
      AND name = r.name
      AND id > 0
    OFFSET
      0
  ) m ON true
  LEFT JOIN LATERAL (
    SELECT id, state, worker, attempt, args, meta FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
  ) j ON true
