-- Let a root take its key back that had settled, or was replaced, and is open again: it was retried, or appended to. One that
-- had left the line joins it at the end. Raises if another workflow holds the key; one that was replaced may run its final
-- jobs again while they are all that is open.
--
-- Called by: handles, after the root was opened; does nothing if it is not open, or holds its key.
-- Locks: the row of the key; the caller holds the root. Then as oban_workflow_start_root does.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_retake_v1(p_id text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_root oban_workflow_groups;
  v_key oban_workflow_keys;
  v_held bigint;
BEGIN
  SELECT
    r.*
  FROM
    oban_workflow_groups g
    JOIN oban_workflow_groups r ON r.key = g.root
  WHERE
    g.id = p_id
    AND r.unique_key IS NOT NULL
    AND r.state = 'executing'
    -- not in line
    AND (r.queued_at IS NULL OR r.queued_at = 'infinity')
  INTO
    v_root;

  IF NOT FOUND OR v_root.queued_at IS NULL AND EXISTS (
    SELECT
    FROM
      oban_workflow_keys
    WHERE
      key = v_root.unique_key
      AND CASE
        WHEN former = v_root.key THEN oban_workflow_body_state(v_root.key) IS NOT NULL
        ELSE holder = v_root.key AND former IS NULL
      END
  ) THEN
    RETURN;
  END IF;

  LOOP
    INSERT INTO oban_workflow_keys (key, holder, held_until) VALUES (v_root.unique_key, v_root.key, v_root.unique_until)
    ON CONFLICT ON CONSTRAINT oban_workflow_keys_pkey DO NOTHING;

    EXIT WHEN FOUND;

    SELECT * FROM oban_workflow_keys WHERE key = v_root.unique_key FOR UPDATE INTO v_key;

    CONTINUE WHEN NOT FOUND;

    IF v_key.holder = v_root.key THEN
      EXIT WHEN v_key.former IS NULL;

      UPDATE oban_workflow_groups SET queued_at = timezone('UTC', clock_timestamp()) WHERE key = v_root.key;
      RETURN;
    END IF;

    v_held := COALESCE(
      NULLIF(oban_workflow_key_is_held(v_key, false), v_root.key),
      (SELECT root FROM oban_workflow_unended WHERE root = v_key.holder LIMIT 1)
    );

    IF v_held IS NULL THEN
      UPDATE
        oban_workflow_keys
      SET
        holder = v_root.key, former = NULL, held_until = v_root.unique_until
      WHERE
        key = v_root.unique_key;
      EXIT;
    END IF;

    IF v_root.queued_at IS NOT NULL THEN
      UPDATE oban_workflow_groups SET queued_at = timezone('UTC', clock_timestamp()) WHERE key = v_root.key;
      RETURN;
    END IF;

    RAISE EXCEPTION USING
      MESSAGE = 'workflow ' || quote_literal(v_root.id) || ' cannot run again: workflow ' || quote_literal(
        (SELECT id FROM oban_workflow_groups WHERE key = v_held)
      ) || ' holds its key ' || quote_literal(v_root.unique_key),
      DETAIL = (SELECT id FROM oban_workflow_groups WHERE key = v_held),
      ERRCODE = 'OBW17';
  END LOOP;

  IF v_root.queued_at IS NOT NULL THEN
    PERFORM oban_workflow_notify_queues_v1(oban_workflow_start_root(v_root.key));
  END IF;
END;
$$;
