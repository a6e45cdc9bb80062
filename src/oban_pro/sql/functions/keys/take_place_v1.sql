-- Give a root that was just inserted the place that its claim got: it holds its key, or waits in line. The workflow
-- that it replaces is cancelled; returns how many jobs that cancels.
--
-- p_verdict is what oban_workflow_claim_v1 returned, p_seconds for how long it holds the key at least.
--
-- Called by: enqueueing, after the root is inserted. It runs with the rights of the tables' owner, as
-- oban_workflow_add_to_group_v1 does.
-- Locks: rows of the root and the key; the caller holds what oban_workflow_claim_v1 locks. Then as oban_workflow_cancel_v3
-- does.
-- Called twice: finds nobody to replace.
CREATE OR REPLACE FUNCTION oban_workflow_take_place_v1(
  p_root bigint,
  p_key text,
  p_verdict text,
  p_seconds double precision
)
RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_until timestamp := timezone('UTC', now()) + make_interval(secs => p_seconds);
  v_key oban_workflow_keys;
  v_cancelled integer := 0;
  v_lock_timeout text := current_setting('lock_timeout');
BEGIN
  UPDATE
    oban_workflow_groups
  SET
    rules = COALESCE(rules, 0) | 1024,
    unique_key = p_key,
    unique_until = v_until,
    queued_at = CASE WHEN p_verdict <> 'free' THEN timezone('UTC', clock_timestamp()) END
  WHERE
    key = p_root;

  IF p_verdict = 'queue' THEN
    RETURN 0;
  END IF;

  SELECT * FROM oban_workflow_keys WHERE key = p_key INTO v_key;

  UPDATE
    oban_workflow_keys
  SET
    holder = p_root,
    -- one that waits for another has not started
    former = CASE
      WHEN p_verdict = 'replace' AND v_key.former IS NULL THEN v_key.holder
      ELSE v_key.former
    END,
    held_until = v_until
  WHERE
    key = p_key;

  IF p_verdict = 'replace' THEN
    v_cancelled := oban_workflow_cancel_v3(
      (SELECT id FROM oban_workflow_groups WHERE key = v_key.holder),
      NULL,
      false,
      'replaced by workflow ' || (SELECT quote_literal(id) FROM oban_workflow_groups WHERE key = p_root),
      NULL
    );
    PERFORM set_config('lock_timeout', v_lock_timeout, true);
  END IF;

  RETURN v_cancelled;
END;
$$;
