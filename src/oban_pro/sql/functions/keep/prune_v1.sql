-- As oban_workflow_prune_v2, without what may have objects in a store.
--
-- Called by: nodes of older releases. Locks and running twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_prune_v1(
  p_max_age double precision,
  p_limit integer,
  p_start jsonb,
  OUT jobs integer,
  OUT next jsonb,
  OUT before timestamp
)
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
  SELECT p.jobs, p.next, p.before FROM oban_workflow_prune_v2(p_max_age, p_limit, p_start) p
$$;
