-- Count jobs and groups that were added to a group. One that had settled opens again, and with it what is
-- around it.
--
-- Called by: appending and grafting, after the new rows are in.
-- Locks: rows of the three tables; the caller holds the root.
-- Twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_extend(
  p_key bigint,
  p_total integer,
  p_suspended integer,
  p_subs integer,
  p_subs_completed integer,
  p_subs_cancelled integer
)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_old text;
  v_new text;
BEGIN
  UPDATE
    oban_workflow_groups g
  SET
    total = g.total + p_total,
    suspended = g.suspended + p_suspended,
    subs = g.subs + p_subs,
    subs_completed = g.subs_completed + p_subs_completed,
    subs_cancelled = g.subs_cancelled + p_subs_cancelled
  FROM
    oban_workflow_groups o
  WHERE
    g.key = p_key
    AND o.key = g.key
  RETURNING
    o.state, g.state
  INTO
    v_old, v_new;

  IF v_old = v_new THEN
    RETURN;
  END IF;

  PERFORM oban_workflow_announce(ARRAY[p_key], ARRAY[v_new]);
  PERFORM set_config('oban_workflows.engine', 'on', true);

  IF v_old <> 'executing' THEN
    PERFORM oban_workflow_reopen(ARRAY[p_key], ARRAY[v_old]);
  END IF;

  IF v_new <> 'executing' THEN
    PERFORM oban_workflow_wake(
      oban_workflow_carry(ARRAY[p_key], ARRAY['executing'::text], ARRAY[v_new], '{}', '{}')
    );
  END IF;

  PERFORM set_config('oban_workflows.engine', 'off', true);
END;
$$;
