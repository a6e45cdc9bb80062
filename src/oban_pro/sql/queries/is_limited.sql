-- Whether a statement that commits by itself may time out, or would not see what others commit while it waits for a
-- lock. The second timeout exists since PostgreSQL 17.
SELECT
  current_setting('statement_timeout') <> '0'
  OR COALESCE(current_setting('transaction_timeout', true), '0') <> '0'
  OR current_setting('default_transaction_isolation') NOT IN ('read committed', 'read uncommitted')
