-- A workflow that something is to be added to, and the flags that its gate is judged by.
SELECT
  g.key,
  g.root,
  g.id,
  g.name,
  g.kind,
  p.id AS parent_id,
  m.name AS sub_name,
  COALESCE(m.ignore_cancelled, false) AS ignore_cancelled,
  COALESCE(m.ignore_discarded, false) AS ignore_discarded
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = g.key
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups p ON p.key = g.parent
WHERE
  g.id = %(id)s
