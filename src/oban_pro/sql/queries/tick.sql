-- End the waits, deadlines, pauses and periods that are due.
SELECT
  held_root, workflow_id, name, path
FROM
  /* TEMPLATE: schema */oban_workflow_tick_v1(%(root)s, 200)
