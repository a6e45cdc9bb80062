-- Send a notification, which arrives once this transaction has committed.
SELECT
  pg_notify(%(channel)s, %(payload)s)
