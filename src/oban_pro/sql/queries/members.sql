-- Members of a group by name, or all: the state of each, and the id of its workflow if it is a group.
-- OFFSET 0: see PLANS.md.
SELECT
  m.id,
  m.name,
  CASE
    WHEN /* TEMPLATE: schema */oban_workflow_was_skipped_v1(j.state::text, j.attempt, j.meta)
      OR /* TEMPLATE: schema */oban_workflow_group_was_skipped_v2(g.key, g.state, g.total, g.subs, g.skipped, g.subs_skipped, g.skips, g.judged)
      THEN 'skipped'
    ELSE COALESCE(j.state::text, g.state, m.gone, 'unknown')
  END AS state,
  COALESCE(g.kind, 'job') AS kind,
  g.id AS workflow_id
FROM
  (
    SELECT
      id, name, gone
    FROM
      /* TEMPLATE: schema */oban_workflow_members
    WHERE
      group_key = %(key)s
      AND %(names)s::text[] IS NULL
    UNION ALL
    -- each by itself: with = ANY(names) all members may be read, and their names compared
    SELECT
      named.*
    FROM
      (SELECT DISTINCT unnest(%(names)s::text[]) AS name) n
      CROSS JOIN LATERAL (
        SELECT id, name, gone FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = %(key)s AND name = n.name OFFSET 0
      ) named
  ) m
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT state, attempt, meta FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
  ) j ON true
