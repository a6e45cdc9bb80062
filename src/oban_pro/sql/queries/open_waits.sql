-- Waits that are open in a workflow and in all nested ones, timers too, by path from it: those whose time is up first come
-- first. Nothing is looked for where the root has no waits. OFFSET 0: see PLANS.md.
WITH open AS MATERIALIZED (
  SELECT
    w.id, tree.kind, tree.path, t.due
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_groups_by_path_v1(g.key) tree
    CROSS JOIN LATERAL (
      SELECT
        id
      FROM
        /* TEMPLATE: schema */oban_workflow_waits
      WHERE
        is_open
        AND kind IN ('signal', 'timer')
        AND root = g.root
        AND group_key = tree.key
      OFFSET
        0
    ) w
    LEFT JOIN LATERAL (
      SELECT due FROM /* TEMPLATE: schema */oban_workflow_timers WHERE target = w.id AND kind = 'wait' OFFSET 0
    ) t ON true
  WHERE
    g.id = %(id)s
    AND (SELECT rules & 1 > 0 FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = g.root)
  ORDER BY
    t.due NULLS LAST, w.id
  LIMIT
    %(limit)s
)
SELECT
  %(id)s AS workflow_id,
  NULL AS name,
  CASE WHEN open.kind = 'graft' THEN open.path ELSE open.path || m.name END AS path,
  open.id AS job_id,
  f.kind,
  f.since,
  f.until,
  f.wanted,
  f.came,
  f.senders,
  f.choices,
  f.call
FROM
  open
  CROSS JOIN LATERAL (
    SELECT name FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = open.id OFFSET 0
  ) m
  CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_waiting_v1(open.id) f
WHERE
  f.kind IN ('signal', 'timer')
ORDER BY
  open.due NULLS LAST, open.id
