-- The process that serves a connection.
SELECT
  pg_backend_pid()
