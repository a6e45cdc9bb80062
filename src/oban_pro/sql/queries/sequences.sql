-- Sequences that are behind the ids and keys in use.
SELECT
  NULL AS root_id, NULL AS workflow_id, s.name, 'sequence' AS field, s.handed_out::text AS stored, s.used::text AS actual
FROM
  /* TEMPLATE: schema */oban_workflow_sequences_v1() s
