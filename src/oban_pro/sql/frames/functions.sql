/* TEMPLATE: functions */

-- Drop what an older release left behind: functions that this one did not create or replace just now. Functions whose
-- names end in a version are called by nodes, of older releases too, and stay.
DO $drop$
DECLARE
  v_functions text;
BEGIN
  -- all at once, as some may depend on others
  SELECT
    string_agg(oid::regprocedure::text, ', ')
  INTO
    v_functions
  FROM
    pg_proc
  WHERE
    pronamespace = to_regnamespace('/* TEMPLATE: schema */')
    AND starts_with(proname, 'oban_workflow_')
    AND proname !~ '_v[0-9]+$'
    AND age(xmin) > age(pg_current_xact_id()::xid);

  IF v_functions IS NOT NULL THEN
    EXECUTE 'DROP FUNCTION ' || v_functions;
  END IF;
END;
$drop$;

/* TEMPLATE: views */
