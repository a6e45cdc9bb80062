-- Remove what was grafted to some grafts: jobs and bookkeeping. Nodes that run some of the jobs have been told.
--
-- p_groups are the groups that were grafted, with all that is nested in them, p_jobs the jobs in them; p_rules are the
-- rare rules of the root.
--
-- Called by: oban_workflow_retry_v1, oban_workflow_rerun_v1, once the grafters wait: they keep the groups of the grafts as
-- they are until they run again.
-- Locks: rows of the jobs, which the caller holds, and of the three tables; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_remove_grafted(
  p_grafts bigint[],
  p_groups bigint[],
  p_jobs bigint[],
  p_rules smallint
)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
BEGIN
  IF cardinality(p_groups) = 0 THEN
    RETURN;
  END IF;

  IF row_security_active('oban_jobs') AND EXISTS (
    SELECT
    FROM
      oban_workflow_members m
    WHERE
      m.id = ANY(p_jobs)
      AND m.gone IS NULL
      AND NOT EXISTS (SELECT FROM oban_jobs WHERE id = m.id)
  ) THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'row level security hides jobs that were grafted, so the grafter cannot graft anew';
  END IF;

  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  DELETE FROM oban_jobs WHERE id = ANY(p_jobs);

  PERFORM oban_workflow_remove_groups(p_groups, p_rules);
  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

  UPDATE
    oban_workflow_groups
  SET
    subs = 0,
    subs_completed = 0,
    subs_cancelled = 0,
    subs_discarded = 0,
    subs_skipped = NULL
  WHERE
    key = ANY(p_grafts);
END;
$$;
