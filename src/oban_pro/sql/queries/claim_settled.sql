-- Claim root workflows that have settled and were not announced yet: each goes to one caller.
UPDATE
  /* TEMPLATE: schema */oban_workflow_groups
SET
  announced = true
WHERE
  key IN (
    SELECT
      key
    FROM
      /* TEMPLATE: schema */oban_workflow_groups
    WHERE
      parent IS NULL
      AND state <> 'executing'
      AND NOT announced
    LIMIT
      1000
    FOR NO KEY UPDATE SKIP LOCKED
  )
RETURNING
  id, name, state
