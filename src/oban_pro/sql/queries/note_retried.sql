-- Note when workflows that had settled are retried: those of some that are open now. Returns whether a root among them has
-- a key.
WITH noted AS (
  UPDATE
    /* TEMPLATE: schema */oban_workflow_groups
  SET
    retried_at = timezone('UTC', now())
  WHERE
    key = ANY(%(keys)s::bigint[])
    AND state = 'executing'
  RETURNING
    unique_key
)
SELECT
  count(unique_key) > 0
FROM
  noted
