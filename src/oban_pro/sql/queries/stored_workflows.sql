-- The workflows of one root that may have objects in a store: the store, the id of the workflow, and the last of the jobs that
-- may have any. Jobs of a workflow that takes the same id later come after that.
SELECT
  g.store, g.id, r.last
FROM
  (
    SELECT
      o.root, max(m.id) AS last
    FROM
      /* TEMPLATE: schema */oban_workflow_groups o
      LEFT JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = o.key
    WHERE
      o.root = (SELECT root FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = %(id)s)
    GROUP BY
      o.root
  ) r
  JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.root = r.root
WHERE
  g.store IS NOT NULL
