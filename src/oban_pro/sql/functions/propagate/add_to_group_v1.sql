-- Count jobs and groups that were added to a group. One that had settled opens again, and with it what is
-- around it.
--
-- Called by: appending and grafting, after the new rows are in. It runs with the rights of the tables' owner, as whoever
-- may add jobs need not be allowed to change any, nor to see all that this moves.
-- Locks: rows of the three tables; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_add_to_group_v1(
  p_key bigint,
  p_total integer,
  p_suspended integer,
  p_subs integer,
  p_subs_completed integer,
  p_subs_cancelled integer
)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_old text;
  v_new text;
  v_rules smallint;
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
    CASE
      WHEN oban_workflow_group_was_skipped_v2(o.key, o.state, o.total, o.subs, o.skipped, o.subs_skipped, o.skips, o.judged)
        THEN 'skipped'
      ELSE o.state
    END,
    g.state
  INTO
    v_old, v_new;

  IF v_old = v_new THEN
    RETURN;
  END IF;

  v_rules := (SELECT r.rules FROM oban_workflow_groups g JOIN oban_workflow_groups r ON r.key = g.root WHERE g.key = p_key);

  PERFORM oban_workflow_check_sight();
  PERFORM oban_workflow_notify_settled(ARRAY[p_key], ARRAY[v_new]);
  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  IF v_old <> 'executing' THEN
    PERFORM oban_workflow_reopen(ARRAY[p_key], ARRAY[v_old], v_rules, '{}');
  END IF;

  IF v_new <> 'executing' THEN
    PERFORM oban_workflow_notify_queues_v1(
      oban_workflow_propagate(
        ARRAY[p_key],
        ARRAY['executing'::text],
        ARRAY[v_new],
        '{}',
        '{}',
        v_rules
      )
    );
  END IF;

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);
END;
$$;
