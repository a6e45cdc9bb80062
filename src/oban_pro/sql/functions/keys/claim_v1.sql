-- Claim a key for a root that is about to be inserted. Returns a verdict, and the id of the workflow that it is about:
--   'free': the root holds the key now, and starts
--   'after': it holds the key now, and starts when the executions of that workflow have ended
--   'replace': it is to take the key from that workflow, which is open
--   'queue': it waits in line
--   'taken': that workflow holds the key
--   'full': more workflows than p_max wait in line
--
-- p_mode is what to do if the key is held: 'existing', 'raise', 'replace' or 'queue'.
--
-- Called by: enqueueing, before the root is inserted. It runs with the rights of the tables' owner, as
-- oban_workflow_add_to_group_v1 does.
-- Locks: the root to be replaced first, then the row of the key. Two who want a key that is free wait for each other at its
-- primary key.
-- Called twice: finds the key held by the root itself.
CREATE OR REPLACE FUNCTION oban_workflow_claim_v1(
  p_root bigint,
  p_key text,
  p_mode text,
  p_max integer,
  OUT verdict text,
  OUT workflow_id text
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_key oban_workflow_keys;
  v_locked oban_workflow_keys;
  v_held bigint;
  v_former bigint;
BEGIN
  LOOP
    INSERT INTO oban_workflow_keys (key, holder) VALUES (p_key, p_root)
    ON CONFLICT ON CONSTRAINT oban_workflow_keys_pkey DO NOTHING;

    IF FOUND THEN
      verdict := 'free';
      RETURN;
    END IF;

    SELECT * FROM oban_workflow_keys WHERE key = p_key INTO v_key;

    CONTINUE WHEN NOT FOUND;

    v_held := oban_workflow_key_is_held(v_key, p_mode = 'queue');

    IF v_held IS NOT NULL AND p_mode IN ('existing', 'raise') THEN
      verdict := 'taken';
      workflow_id := (SELECT id FROM oban_workflow_groups WHERE key = v_held);
      RETURN;
    END IF;

    BEGIN
      IF p_mode = 'replace' THEN
        PERFORM FROM oban_workflow_groups WHERE key = v_key.holder FOR NO KEY UPDATE;
      END IF;

      SELECT * FROM oban_workflow_keys WHERE key = p_key FOR UPDATE INTO v_locked;

      -- the locks are let go of
      IF v_locked.holder IS DISTINCT FROM v_key.holder THEN
        RAISE EXCEPTION USING MESSAGE = 'the key has another holder now', ERRCODE = 'OBW16';
      END IF;
    EXCEPTION
      WHEN SQLSTATE 'OBW16' THEN
        CONTINUE;
    END;

    v_held := oban_workflow_key_is_held(v_locked, p_mode = 'queue');

    IF v_held IS NOT NULL AND p_mode = 'queue' THEN
      verdict := CASE
        WHEN p_max <= (
          SELECT
            count(*)
          FROM
            (
              SELECT
              FROM
                oban_workflow_groups
              WHERE
                unique_key = p_key
                AND queued_at IS NOT NULL
                AND state = 'executing'
                AND key <> v_locked.holder
              LIMIT
                p_max
            ) waiting
        ) THEN 'full'
        ELSE 'queue'
      END;
      workflow_id := (SELECT id FROM oban_workflow_groups WHERE key = v_locked.holder);
      RETURN;
    ELSIF EXISTS (SELECT FROM oban_workflow_groups WHERE key = v_locked.holder AND state = 'executing') THEN
      -- by now it may be held again
      CONTINUE WHEN p_mode <> 'replace';

      verdict := 'replace';
      workflow_id := (SELECT id FROM oban_workflow_groups WHERE key = v_locked.holder);
      RETURN;
    ELSIF p_mode IN ('existing', 'raise') AND v_held IS NOT NULL THEN
      CONTINUE;
    END IF;

    v_former := (SELECT root FROM oban_workflow_unended WHERE root = v_locked.holder LIMIT 1);

    UPDATE oban_workflow_keys SET holder = p_root, former = v_former, held_until = NULL WHERE key = p_key;

    verdict := CASE WHEN v_former IS NULL THEN 'free' ELSE 'after' END;
    workflow_id := (SELECT id FROM oban_workflow_groups WHERE key = v_former);
    RETURN;
  END LOOP;
END;
$$;
