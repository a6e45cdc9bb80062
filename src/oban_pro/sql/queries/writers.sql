-- Who keeps an index on the table of jobs from being built: transactions that had begun at a time, and have written to
-- the table or still read with an old snapshot.
SELECT
  string_agg(
    'pid ' || a.pid || ' (' || concat_ws(
      ', ',
      'application ' || NULLIF(a.application_name, ''),
      'role ' || a.usename,
      a.state,
      'its transaction began at ' || to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'
    ) || ')',
    '; '
    ORDER BY
      a.xact_start
  ) AS holders
FROM
  pg_stat_activity a
WHERE
  a.datname = current_database()
  AND a.pid <> pg_backend_pid()
  AND a.xact_start <= %(since)s
  AND (
    a.backend_xmin IS NOT NULL
    OR EXISTS (
      SELECT
      FROM
        pg_locks l
      WHERE
        l.pid = a.pid
        AND l.relation = to_regclass('/* TEMPLATE: schema */oban_jobs')
        AND l.granted
        AND l.mode = 'RowExclusiveLock'
    )
  )
