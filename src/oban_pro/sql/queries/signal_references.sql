-- Payloads of signals that may be references to objects, by the beginning of the encoded value; encoded as recorded values.
SELECT
  /* TEMPLATE: schema */oban_workflow_recorded_v1(payload)
FROM
  /* TEMPLATE: schema */oban_workflow_signals
WHERE
  substring(payload FROM 1 FOR length(%(mark)s::bytea)) = %(mark)s::bytea
