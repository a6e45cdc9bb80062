-- Insert the graft that undoes a workflow which did not complete, and its grafter: the job in which a node with this package
-- plans the undos. The graft opens the workflow again. Returns the grafter, which is suspended.
--
-- Called by: oban_workflow_end_bodies.
-- Locks: rows of groups and of oban_workflow_ends; the caller holds the root.
-- Called twice: the name is taken.
CREATE OR REPLACE FUNCTION oban_workflow_insert_undo(p_key bigint, p_queue text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_graft bigint;
  v_grafter bigint;
  v_now timestamp := timezone('UTC', now());
BEGIN
  SELECT r.keys[1], r.ids[1] FROM oban_workflow_reserve_v1(1, 1) r INTO v_graft, v_grafter;

  INSERT INTO oban_workflow_groups (key, id, root, parent, kind, empty_state, total, suspended) OVERRIDING SYSTEM VALUE
  SELECT v_graft, gen_random_uuid()::text, root, key, 'graft', 'completed', 1, 1 FROM oban_workflow_groups WHERE key = p_key;

  INSERT INTO oban_workflow_members (id, group_key, name)
  VALUES (v_graft, p_key, 'undo'), (v_grafter, v_graft, 'grafter');

  -- as oban_pro.model.meta spells it
  INSERT INTO oban_jobs (id, state, queue, worker, args, meta, attempt, max_attempts, inserted_at, scheduled_at)
  OVERRIDING SYSTEM VALUE
  SELECT
    v_grafter,
    'suspended',
    p_queue,
    'oban_pro.workers.Undoer',
    '{}',
    jsonb_strip_nulls(
      jsonb_build_object(
        'workflow', true,
        'workflow_id', g.id,
        'workflow_name', g.name,
        'sup_workflow_id', COALESCE(beyond.id, around.id),
        'sub_name', COALESCE(graft.name, m.name),
        'name', 'undo',
        'deps', '[]'::jsonb,
        'graft', true,
        'workflow_store', g.store
      )
    ),
    0,
    20,
    v_now,
    v_now
  FROM
    (SELECT key, id, name, parent, store FROM oban_workflow_groups WHERE key = p_key OFFSET 0) g
    LEFT JOIN LATERAL (SELECT name FROM oban_workflow_members WHERE id = g.key OFFSET 0) m ON true
    LEFT JOIN LATERAL (SELECT key, id, kind FROM oban_workflow_groups WHERE key = g.parent OFFSET 0) around ON true
    -- what was grafted goes by the name of its graft
    LEFT JOIN LATERAL (
      SELECT group_key, name FROM oban_workflow_members WHERE id = around.key AND around.kind = 'graft' OFFSET 0
    ) graft ON true
    LEFT JOIN LATERAL (SELECT id FROM oban_workflow_groups WHERE key = graft.group_key OFFSET 0) beyond ON true;

  UPDATE oban_workflow_groups SET subs = subs + 1 WHERE key = p_key;
  UPDATE oban_workflow_ends SET undo = v_graft WHERE group_key = p_key;

  RETURN v_grafter;
END;
$$;
