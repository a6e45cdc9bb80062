-- Cancel jobs that were just added and depend on something that broke before. The trigger carries it on.
UPDATE
  /* TEMPLATE: schema */oban_jobs j
SET
  state = 'cancelled',
  cancelled_at = timezone('UTC', now()),
  errors = j.errors || jsonb_build_object(
    'attempt', j.attempt,
    'at', to_char(timezone('UTC', now()), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'error', 'cancelled because upstream ' || u.cause
  )
FROM
  unnest(%(ids)s::bigint[], %(causes)s::text[]) AS u(id, cause)
WHERE
  j.id = u.id
