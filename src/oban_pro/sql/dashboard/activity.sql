-- How fast jobs of each queue were completed lately, and how long they had waited for a node, in slices of time, the
-- latest first. Of each slice it reads the first jobs in oban's index on times of completion, up to a limit: where there
-- are more, a slice ends with the last of them. So it reads no more, however many there are.
WITH slices AS (
  SELECT
    n, timezone('UTC', now()) - (n + 1) * make_interval(secs => %(seconds)s) AS since
  FROM
    generate_series(0, %(slices)s - 1) n
)
SELECT
  s.n::integer AS slice,
  j.queue,
  count(*)::integer AS jobs,
  extract(epoch FROM avg(greatest(j.attempted_at - j.scheduled_at, interval '0')))::double precision AS waited,
  CASE
    WHEN max(j.read) < %(limit)s THEN %(seconds)s
    ELSE greatest(extract(epoch FROM max(j.until) - s.since)::double precision, 0.001)
  END AS seconds
FROM
  slices s
  CROSS JOIN LATERAL (
    SELECT
      first.queue,
      first.attempted_at,
      first.scheduled_at,
      count(*) OVER () AS read,
      max(first.completed_at) OVER () AS until
    FROM (
      SELECT
        queue, attempted_at, scheduled_at, completed_at
      FROM
        /* TEMPLATE: schema */oban_jobs
      WHERE
        state = 'completed'
        AND completed_at >= s.since
        AND completed_at < s.since + make_interval(secs => %(seconds)s)
      ORDER BY
        completed_at
      LIMIT
        %(limit)s
    ) first
  ) j
GROUP BY
  s.n, s.since, j.queue
ORDER BY
  s.n, j.queue
