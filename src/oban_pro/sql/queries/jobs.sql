-- Jobs of a workflow, ordered by id; of nested ones too where asked, or only some names. A grafter goes by the
-- name of its graft, in the workflow that the graft was added to. OFFSET 0: see PLANS.md.
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
    CROSS JOIN LATERAL (
      SELECT key, kind FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = tree.key OFFSET 0
    ) g
  WHERE
    %(with_subs)s
),
members AS (
  SELECT
    m.id
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT
        id
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = tree.key
        AND %(names)s::text[] IS NULL
      UNION ALL
      -- each by itself: with = ANY(names) all members may be read, and their names compared
      SELECT
        named.id
      FROM
        (SELECT DISTINCT unnest(%(names)s::text[]) AS name) n
        CROSS JOIN LATERAL (
          SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = tree.key AND name = n.name OFFSET 0
        ) named
    ) m
  WHERE
    (tree.kind <> 'graft' OR %(names)s::text[] = '{when}')
),
jobs AS (
  SELECT
    m.id
  FROM
    members m
  WHERE
    m.id > 0
  UNION ALL
  SELECT
    grafter.id
  FROM
    members m
    CROSS JOIN LATERAL (
      SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id AND kind = 'graft' OFFSET 0
    ) g
    CROSS JOIN LATERAL (
      SELECT
        id
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = g.key
        AND id > 0
        AND (name = 'grafter' OR %(names)s::text[] IS NULL)
      OFFSET
        0
    ) grafter
  WHERE
    m.id < 0
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
  jobs
  CROSS JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = jobs.id OFFSET 0
  ) j
ORDER BY
  j.id
