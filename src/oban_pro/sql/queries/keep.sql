-- Let the pruner pass over a root workflow until a moment, or no longer; a row if there is that root.
UPDATE
  /* TEMPLATE: schema */oban_workflow_groups
SET
  kept_until = CASE
    WHEN %(seconds)s::double precision IS NOT NULL THEN
      timezone('UTC', now()) + make_interval(secs => %(seconds)s::double precision)
    ELSE timezone('UTC', %(moment)s::timestamptz)
  END
WHERE
  id = %(id)s
  AND parent IS NULL
RETURNING
  key
