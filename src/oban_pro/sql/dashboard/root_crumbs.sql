-- Those of some workflows that are roots: id, name, kind, and when each was inserted.
SELECT
  id, name, kind, inserted_at
FROM
  /* TEMPLATE: schema */oban_workflow_groups
WHERE
  id = ANY(%(ids)s)
  AND parent IS NULL
