-- Fan-outs that tolerate failures: as many of their direct members as "tolerates" says, a number or a share below 1. If
-- "fail_fast", what is open is cancelled as soon as there are more. "voided" is set where a group was cancelled as a whole, or
-- its gate broke: it tolerates nothing until something in it is retried.
--
-- A generated column cannot be changed before PostgreSQL 17: it is dropped and made anew, which rewrites the table once. A view
-- stands in the way, and keeps who may read it, and what others built on it, while it shows nothing; it is replaced below.
--
-- Locks: oban_workflow_groups
ALTER TABLE oban_workflow_groups
  ADD COLUMN tolerates numeric,
  ADD COLUMN fail_fast boolean,
  ADD COLUMN voided boolean;

DO $empty$
BEGIN
  IF to_regclass(quote_ident(current_schema()) || '.oban_workflows') IS NOT NULL THEN
    EXECUTE (
      SELECT
        'CREATE OR REPLACE VIEW oban_workflows AS SELECT '
        || string_agg('NULL::' || format_type(atttypid, atttypmod) || ' AS ' || quote_ident(attname), ', ' ORDER BY attnum)
        || ' WHERE false'
      FROM
        pg_attribute
      WHERE
        attrelid = to_regclass(quote_ident(current_schema()) || '.oban_workflows')
        AND attnum > 0
    );
  END IF;
END;
$empty$;

ALTER TABLE oban_workflow_groups
  DROP COLUMN state,
  ADD COLUMN state text NOT NULL GENERATED ALWAYS AS (
    CASE
      WHEN total + subs = 0 THEN empty_state
      WHEN completed + cancelled + discarded < total THEN 'executing'
      WHEN subs_completed + subs_cancelled + subs_discarded < subs THEN 'executing'
      WHEN voided IS NULL
        AND cancelled + discarded + subs_cancelled + subs_discarded
          <= CASE WHEN tolerates < 1 THEN tolerates * (total + subs) ELSE tolerates END THEN 'completed'
      WHEN discarded + subs_discarded > 0 THEN 'discarded'
      WHEN cancelled + subs_cancelled > 0 THEN 'cancelled'
      ELSE 'completed'
    END
  ) STORED;

-- the column took them along
CREATE INDEX oban_workflow_groups_settled_index
ON oban_workflow_groups (key)
WHERE parent IS NULL AND state <> 'executing' AND NOT announced;

CREATE INDEX oban_workflow_groups_open_index
ON oban_workflow_groups (inserted_at)
WHERE parent IS NULL AND state = 'executing';
