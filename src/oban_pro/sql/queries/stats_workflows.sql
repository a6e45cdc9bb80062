-- Open root workflows by name, the most frequent names first, and for how many seconds the oldest is open. It reads the
-- open ones along a partial index: a page or two for each, however many others are stored.
SELECT
  g.name,
  count(*) AS count,
  extract(epoch FROM timezone('UTC', now()) - min(g.inserted_at))::double precision AS oldest
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
WHERE
  g.parent IS NULL
  AND g.state = 'executing'
GROUP BY
  g.name
ORDER BY
  count(*) DESC, g.name
LIMIT
  %(limit)s
