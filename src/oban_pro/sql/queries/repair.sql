-- Mend the bookkeeping of a root workflow; returns how many rows were wrong.
SELECT
  /* TEMPLATE: schema */oban_workflow_repair_v1(g.root) AS mended
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
WHERE
  g.id = %(id)s
