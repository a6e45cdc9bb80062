-- Let every statement of this transaction fail that waits for a lock for too long.
SELECT
  set_config('lock_timeout', %(timeout)s, true)
