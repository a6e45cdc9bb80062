-- Of jobs that may have objects in a store: whether they may still write some, and what they recorded, encoded. OFFSET 0
-- keeps to lookups by key.
SELECT
  j.id,
  NOT /* TEMPLATE: schema */oban_workflow_is_settled_v1(j.state::text)
    OR EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_unended WHERE id = j.id OFFSET 0) AS is_open,
  ARRAY[
    j.meta ->> 'return',
    j.meta ->> 'again',
    (SELECT late FROM /* TEMPLATE: schema */oban_workflow_undos WHERE id = j.id OFFSET 0)
  ] AS values
FROM
  /* TEMPLATE: schema */oban_jobs j
WHERE
  j.id = ANY(%(ids)s)
