-- For tests: let the call of await_signal time out in which a job is parked. Its deadline becomes now, and the job runs again.
WITH ended AS (
  UPDATE
    /* TEMPLATE: schema */oban_workflow_awaits a
  SET
    deadline = LEAST(a.deadline, timezone('UTC', clock_timestamp()))
  FROM
    /* TEMPLATE: schema */oban_jobs j
  WHERE
    j.id = %(job)s
    AND j.state = 'scheduled'
    AND a.job = j.id
    AND a.name = j.meta -> 'wait' ->> 'name'
    AND a.call = (j.meta -> 'wait' ->> 'call')::integer
  RETURNING
    a.job
)
UPDATE
  /* TEMPLATE: schema */oban_jobs
SET
  state = 'available',
  scheduled_at = timezone('UTC', clock_timestamp()),
  meta = meta - ARRAY['wait', 'wait_until']
WHERE
  id = ANY(ARRAY(SELECT job FROM ended))
