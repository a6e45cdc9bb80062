-- Jobs of a workflow, ordered by id; of nested ones too where asked, or only some names. A grafter goes by the
-- name of its graft, in the workflow that the graft was added to.
WITH RECURSIVE tree AS (
  SELECT
    g.key, g.kind
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key, g.kind
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.parent = tree.key
  WHERE
    %(with_subs)s
),
members AS (
  SELECT
    m.id, m.name
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = tree.key
  WHERE
    tree.kind <> 'graft'
    AND m.id > 0
  UNION ALL
  SELECT
    grafter.id, m.name
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.parent = tree.key AND g.kind = 'graft'
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = g.key
    JOIN /* TEMPLATE: schema */oban_workflow_members grafter ON grafter.group_key = g.key AND grafter.id > 0
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
  members m
  JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
WHERE
  %(names)s::text[] IS NULL
  OR m.name = ANY(%(names)s::text[])
ORDER BY
  j.id
