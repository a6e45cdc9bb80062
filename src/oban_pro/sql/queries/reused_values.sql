-- What jobs have recorded that may refer to objects in a store, by the beginnings of the encoded values.
SELECT
  id, meta ->> 'return'
FROM
  /* TEMPLATE: schema */oban_jobs
WHERE
  id = ANY(%(ids)s)
  AND (starts_with(meta ->> 'return', %(whole)s) OR starts_with(meta ->> 'return', %(list)s))
