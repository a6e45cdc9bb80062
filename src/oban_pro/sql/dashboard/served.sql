-- Queues that a node takes jobs from; NULL on a standby, where nobody can know.
SELECT
  CASE
    WHEN NOT pg_is_in_recovery()
      THEN ARRAY(SELECT DISTINCT queue FROM /* TEMPLATE: schema */oban_workflow_live_producers_v1() WHERE NOT paused)
  END AS queues
