-- What a job or group is held back by: the outermost pause around it, whether it is paused itself, the limit and rate of a
-- fan-out; of a root its key, and where it stands in the line for that.
SELECT
  COALESCE(g.kind, 'job') AS kind,
  g.max_open,
  g.rate_allowed,
  g.rate_period,
  EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_pauses WHERE target = m.id OFFSET 0) AS is_paused,
  p.paused_at AT TIME ZONE 'UTC' AS paused_at,
  p.paused_by,
  p.until AT TIME ZONE 'UTC' AS until,
  p.path,
  p.kind AS paused_kind,
  g.unique_key,
  l.behind,
  l.number
FROM
  (SELECT %(member)s::bigint AS id) m
  LEFT JOIN LATERAL (SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id OFFSET 0) g ON true
  CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_pause_around_v1(m.id) p
  LEFT JOIN LATERAL /* TEMPLATE: schema */oban_workflow_line_v1(g.key) l ON g.unique_key IS NOT NULL
