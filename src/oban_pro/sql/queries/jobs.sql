-- Jobs of a workflow, ordered by id; of nested ones too where asked, or only some names.
WITH RECURSIVE tree AS (
  SELECT
    g.key
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.parent = tree.key
  WHERE
    %(with_subs)s
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
  tree
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = tree.key
  JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
WHERE
  %(names)s::text[] IS NULL
  OR m.name = ANY(%(names)s::text[])
ORDER BY
  j.id
