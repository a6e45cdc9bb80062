-- Give a root that was just inserted the place that its claim came to.
SELECT
  /* TEMPLATE: schema */oban_workflow_take_place_v1(%(root)s, %(key)s, %(verdict)s, %(seconds)s)
