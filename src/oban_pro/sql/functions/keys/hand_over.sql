-- Hand the key of a root on once it has settled and its executions have ended: to the root that replaced it, or to the next
-- in line, which starts. If nobody wants the key, it becomes free when the time for which it is held at least is over.
-- Returns the queues that have work now.
--
-- If the key or the next root is locked, a clock will try again. With p_waits it waits for the lock on the key, as long
-- as the lock_timeout of the caller.
--
-- Called by: oban_workflow_hand_over_all, with roots that have settled; oban_workflow_end_executions;
-- oban_workflow_expire; oban_workflow_repair_v1.
-- Locks: the row of the key, then the next root, which it passes over if somebody holds it: nobody who holds a root waits
-- for another. The caller holds p_root.
-- Called twice: finds another holder.
CREATE OR REPLACE FUNCTION oban_workflow_hand_over(p_root bigint, p_waits boolean DEFAULT false)
RETURNS text[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_root oban_workflow_groups;
  v_key oban_workflow_keys;
  v_next bigint;
  v_queues text[];
BEGIN
  SELECT * FROM oban_workflow_groups WHERE key = p_root AND unique_key IS NOT NULL AND state <> 'executing' INTO v_root;

  IF NOT FOUND THEN
    RETURN '{}';
  END IF;

  IF v_root.queued_at IS NOT NULL THEN
    -- it has left the line
    UPDATE oban_workflow_groups SET queued_at = 'infinity' WHERE key = p_root;
  END IF;

  IF EXISTS (SELECT FROM oban_workflow_unended WHERE root = p_root)
    OR NOT EXISTS (SELECT FROM oban_workflow_keys WHERE key = v_root.unique_key AND p_root IN (holder, former))
  THEN
    RETURN '{}';
  END IF;

  IF p_waits THEN
    SELECT * FROM oban_workflow_keys WHERE key = v_root.unique_key FOR UPDATE INTO v_key;
  ELSE
    SELECT * FROM oban_workflow_keys WHERE key = v_root.unique_key FOR UPDATE SKIP LOCKED INTO v_key;
  END IF;

  IF v_key.former = p_root THEN
    v_next := v_key.holder;
  ELSIF v_key.holder = p_root THEN
    v_next := oban_workflow_next_in_line(v_key.key);

    IF v_next IS NULL THEN
      IF v_key.former IS NOT NULL THEN
        -- what it was to replace goes on
        UPDATE oban_workflow_keys SET holder = former, former = NULL, held_until = NULL WHERE key = v_key.key;
      ELSIF (v_key.held_until > timezone('UTC', clock_timestamp())) IS NOT TRUE THEN
        DELETE FROM oban_workflow_keys WHERE key = v_key.key;
      END IF;

      RETURN '{}';
    END IF;
  ELSIF v_key.key IS NOT NULL THEN
    RETURN '{}';
  END IF;

  PERFORM
  FROM
    oban_workflow_groups
  WHERE
    key = v_next
    AND queued_at IS NOT NULL
    AND state = 'executing'
    -- one hand-over within another would need a stack as deep as the line is long
    AND current_setting('oban_workflows.handing_over', true) IS DISTINCT FROM 'on'
  FOR NO KEY UPDATE SKIP LOCKED;

  IF NOT FOUND THEN
    INSERT INTO oban_workflow_timers (target, kind, root, due)
    VALUES (p_root, 'hand_over', p_root, timezone('UTC', clock_timestamp()))
    ON CONFLICT ON CONSTRAINT oban_workflow_timers_pkey DO UPDATE SET due = excluded.due;

    RETURN '{}';
  END IF;

  UPDATE
    oban_workflow_keys
  SET
    holder = v_next,
    former = CASE WHEN former <> p_root THEN former END,
    held_until = (SELECT unique_until FROM oban_workflow_groups WHERE key = v_next)
  WHERE
    key = v_key.key;

  IF v_key.holder = p_root AND v_key.former IS NOT NULL THEN
    -- it was to start after another, and so is the next
    RETURN '{}';
  END IF;

  PERFORM set_config('oban_workflows.handing_over', 'on', true);
  v_queues := oban_workflow_start_root(v_next);
  PERFORM set_config('oban_workflows.handing_over', '', true);

  RETURN v_queues;
END;
$$;
