-- Decide which jobs start that were just inserted, all of them suspended, into a workflow with rare rules.
SELECT
  /* TEMPLATE: schema */oban_workflow_admit_v2(%(root)s, %(rules)s::smallint, %(ids)s::bigint[], %(key)s::bigint)
