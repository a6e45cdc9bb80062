-- Look for executing jobs that nobody runs any more, and say why each is to be taken back.
SELECT
  id, attempted_at, reason
FROM
  /* TEMPLATE: schema */oban_workflow_silent_jobs_v1(%(patience)s::double precision, %(rescue_after)s::double precision)
