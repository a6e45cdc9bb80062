-- Members of a group by name, or all: where each stands, and the id of its workflow if it is a group.
SELECT
  m.id,
  m.name,
  COALESCE(m.gone, g.state, j.state::text) AS state,
  COALESCE(g.kind, 'job') AS kind,
  g.id AS workflow_id
FROM
  /* TEMPLATE: schema */oban_workflow_members m
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.id
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
WHERE
  m.group_key = %(key)s
  AND (%(names)s::text[] IS NULL OR m.name = ANY(%(names)s::text[]))
