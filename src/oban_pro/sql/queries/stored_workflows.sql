-- The workflows of one root that may have objects in a store, as oban_workflow_stored_v1 returns them. Any workflow of the root
-- may be named.
SELECT
  /* TEMPLATE: schema */oban_workflow_stored_v1(
    ARRAY(
      SELECT
        g.key
      FROM
        /* TEMPLATE: schema */oban_workflow_groups o
        JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.root = o.root
      WHERE
        o.id = %(id)s
    )
  )
