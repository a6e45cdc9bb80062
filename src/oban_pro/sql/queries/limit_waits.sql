-- Give up, within this transaction, what waits for a lock for too long.
SELECT
  set_config('lock_timeout', %(timeout)s, true)
