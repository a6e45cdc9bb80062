-- Settle, snooze or retry a batch of executed jobs; returns the ids that were.
SELECT
  /* TEMPLATE: schema */oban_workflow_ack(%(acks)s::json) AS id
