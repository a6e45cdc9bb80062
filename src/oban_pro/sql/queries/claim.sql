-- Claim a key for a root that is about to be inserted.
SELECT
  verdict, workflow_id
FROM
  /* TEMPLATE: schema */oban_workflow_claim_v1(%(root)s, %(key)s, %(mode)s, %(max)s)
