-- Remove a root workflow that has settled; returns 'deleted', or why it is not, and which workflows in it may have objects
-- in a store.
SELECT
  /* TEMPLATE: schema */oban_workflow_delete_v1(%(id)s),
  /* TEMPLATE: schema */oban_workflow_stored_v1(
    ARRAY(
      SELECT
        g.key
      FROM
        /* TEMPLATE: schema */oban_workflow_groups r
        JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.root = r.key
      WHERE
        r.id = %(id)s
        AND r.parent IS NULL
    )
  )
