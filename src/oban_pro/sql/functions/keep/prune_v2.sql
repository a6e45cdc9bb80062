-- Remove jobs and root workflows that settled more than p_max_age seconds ago, at most p_limit jobs. Returns how many
-- jobs were removed, and where the next call of the same pass begins: NULL when nothing is left.
--
-- p_start is '{}' for the first call of a pass, then what the call before returned. So no call reads again what earlier
-- calls have removed or skipped. Plain jobs are removed first, state by state, then workflows, then signals. A pass
-- that begins with "since" skips plain jobs that settled before that time: an earlier pass has removed them, and only
-- jobs of workflows are left from then. "before" is what the next pass may begin with. "stored" lists the workflows that
-- were removed and may have objects in a store, as oban_workflow_stored_v1 does.
--
-- Called by: our pruner.prune, again and again.
-- Locks: see oban_workflow_prune_jobs and oban_workflow_prune_workflows. Both skip what is locked.
-- Called twice: removes what is left.
CREATE OR REPLACE FUNCTION oban_workflow_prune_v2(
  p_max_age double precision,
  p_limit integer,
  p_start jsonb,
  OUT jobs integer,
  OUT next jsonb,
  OUT before timestamp,
  OUT stored text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_stages text[] := ARRAY['completed', 'cancelled', 'discarded', 'workflows', 'signals'];
  v_stage integer := COALESCE(array_position(v_stages, p_start ->> 'stage'), 1);
BEGIN
  before := timezone('UTC', now()) - make_interval(secs => p_max_age);
  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  IF v_stages[v_stage] = 'workflows' THEN
    SELECT * FROM oban_workflow_prune_workflows(before, p_limit, p_start) INTO jobs, next, stored;
  ELSIF v_stages[v_stage] = 'signals' THEN
    jobs := 0;

    PERFORM oban_workflow_prune_signals();
  ELSE
    SELECT * FROM oban_workflow_prune_jobs(v_stages[v_stage], before, p_limit, p_start) INTO jobs, next;
  END IF;

  IF next IS NULL AND v_stage < cardinality(v_stages) THEN
    next := '{}';
    v_stage := v_stage + 1;
  END IF;

  next := next || jsonb_build_object('stage', v_stages[v_stage], 'since', p_start -> 'since');

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);
END;
$$;
