-- Raise if row level security hides jobs from the role that carries changes on: dependents among them would never be
-- released. It is the owner of the tables, from whom nothing is hidden unless the policies are forced on it.
--
-- Called by: oban_workflow_apply_changes, oban_workflow_add_to_group_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_check_sight()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
  IF row_security_active('oban_jobs') THEN
    RAISE EXCEPTION USING
      MESSAGE = 'row level security of oban_jobs is forced on its owner ' || quote_ident(current_user)
        || ', so dependents cannot be released; run: ALTER TABLE ' || current_schema() || '.oban_jobs NO FORCE ROW LEVEL SECURITY',
      ERRCODE = 'OBW04';
  END IF;
END;
$$;
