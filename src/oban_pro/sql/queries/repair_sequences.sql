-- Move sequences on that are behind; returns how many.
SELECT
  /* TEMPLATE: schema */oban_workflow_repair_sequences_v1() AS moved
