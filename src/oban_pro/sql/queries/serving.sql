-- Who serves which queue, whether it is paused there, for how many seconds nothing was heard of that producer, and
-- whether it counts as alive.
SELECT
  p.node,
  p.queue,
  COALESCE((p.meta ->> 'paused')::boolean, false) AS paused,
  extract(epoch FROM timezone('UTC', now()) - p.updated_at)::double precision AS silence,
  l.uuid IS NOT NULL AS alive
FROM
  /* TEMPLATE: schema */oban_producers p
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_live_producers_v1() l ON l.uuid = p.uuid
ORDER BY
  p.node, p.queue
