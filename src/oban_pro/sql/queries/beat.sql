-- Write heartbeats of producers; returns those whose rows are there.
UPDATE
  /* TEMPLATE: schema */oban_producers
SET
  updated_at = timezone('UTC', now())
WHERE
  uuid = ANY(%(uuids)s::uuid[])
RETURNING
  uuid::text
