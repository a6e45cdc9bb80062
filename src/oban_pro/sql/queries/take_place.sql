-- Give a root that was just inserted what its claim came to: it holds its key, or waits in line.
SELECT
  /* TEMPLATE: schema */oban_workflow_take_place_v1(%(root)s, %(key)s, %(verdict)s, %(seconds)s)
