-- Root workflows, newest first, a page at a time, each page beginning after the last row of the one before. Each condition
-- has an index, and the planner knows the values: it takes the one that leaves the fewest rows. A single state comes by
-- itself, as an index on state and time gives no order for a list of states.
SELECT
  g.id, g.inserted_at, g.key
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
WHERE
  g.parent IS NULL
  AND (%(name)s::text IS NULL OR g.name = %(name)s)
  AND (%(state)s::text IS NULL OR g.state = %(state)s)
  AND (%(states)s::text[] IS NULL OR g.state = ANY(%(states)s::text[]))
  AND (%(attributes)s::jsonb IS NULL OR g.attributes @> %(attributes)s::jsonb)
  AND (%(since)s::timestamptz IS NULL OR g.inserted_at >= timezone('UTC', %(since)s::timestamptz))
  AND (%(until)s::timestamptz IS NULL OR g.inserted_at < timezone('UTC', %(until)s::timestamptz))
  AND (
    %(after_time)s::timestamptz IS NULL
    OR (
      g.inserted_at <= timezone('UTC', %(after_time)s::timestamptz)
      AND (
        g.inserted_at < timezone('UTC', %(after_time)s::timestamptz)
        OR g.key > %(after_key)s::bigint
      )
    )
  )
ORDER BY
  g.inserted_at DESC, g.key
LIMIT
  %(limit)s
