-- The signals that came for the job at a path, in the order of their arrival.
SELECT
  /* TEMPLATE: schema */oban_workflow_recorded_v1(s.payload), s.sender, s.sent_at, s.taken_at
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
  JOIN /* TEMPLATE: schema */oban_workflow_signals s ON s.job = /* TEMPLATE: schema */oban_workflow_find_member_v1(g.key, %(path)s)
WHERE
  g.id = %(id)s
ORDER BY
  s.id
