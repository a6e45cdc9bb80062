-- Open jobs by queue and state, and for how many seconds the longest has been due. It reads the entries of open jobs in
-- oban's index on states alone: about one page for each hundred open jobs, whatever else is stored.
SELECT
  j.queue,
  j.state::text,
  count(*) AS count,
  extract(epoch FROM timezone('UTC', now()) - min(j.scheduled_at))::double precision AS oldest
FROM
  unnest('{available,executing,scheduled,retryable,suspended}'::/* TEMPLATE: schema */oban_job_state[]) AS open(state)
  CROSS JOIN LATERAL (
    SELECT queue, state, scheduled_at FROM /* TEMPLATE: schema */oban_jobs WHERE state = open.state OFFSET 0
  ) j
GROUP BY
  j.queue, j.state
ORDER BY
  j.queue, j.state
