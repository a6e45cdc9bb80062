-- Propagate settled jobs downstream: count them, settle the groups that they complete, cancel the jobs that they break,
-- release the jobs that nothing is pending for any more, and so on until nothing changes. Returns the queues that have
-- work now, for the caller to notify.
--
-- p_ids are jobs, p_old and p_new their states before and after ('deleted' for a row that is gone), none of
-- them settled before. So every change is final: what settles here stays settled. 'skipped' is a state here: completed
-- without having run. p_ready are jobs that may be released as well, p_rules the rare rules that one of the roots uses.
--
-- It loops over waves instead of recursing, so ten thousand levels of cancellation need no stack.
--
-- Called by: oban_workflow_ack_v1, oban_workflow_apply_changes; oban_workflow_add_to_group_v1,
-- oban_workflow_end_executions and oban_workflow_repair_v1.
-- Locks: rows of the three tables, and suspended jobs; the caller holds the root.
-- Called twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_propagate(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[],
  p_ready bigint[],
  p_rules smallint
)
RETURNS text[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
-- what is looked up needs a nested loop, and has no other way; what is in arrays is joined by hash
SET enable_nestloop = off
SET jit = off
AS $$
DECLARE
  -- the wave: members whose state changed, jobs and groups alike
  v_ids bigint[] := p_ids;
  v_old text[] := p_old;
  v_new text[] := p_new;
  v_started timestamp[] := p_started;
  -- the next wave
  v_next_ids bigint[];
  v_next_old text[];
  v_next_new text[];
  -- changes not yet counted in their groups
  v_count_ids bigint[] := '{}';
  v_count_old text[] := '{}';
  v_count_new text[] := '{}';
  v_dependents record;
  v_jobs bigint[];
  v_groups bigint[];
  v_emptied bigint[];
  -- jobs that nothing is pending for any more: since this wave, and since before
  v_fresh bigint[] := p_ready;
  v_ready bigint[] := '{}';
  v_ends bigint[] := '{}';
  v_released record;
  -- not the start of the transaction: a job may have been inserted since, while this one waited for the lock
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_queues text[] := '{}';
BEGIN
  WHILE cardinality(v_ids) + cardinality(v_fresh) > 0 LOOP
    v_count_ids := v_count_ids || v_ids;
    v_count_old := v_count_old || v_old;
    v_count_new := v_count_new || v_new;
    v_next_ids := '{}';
    v_next_old := '{}';
    v_next_new := '{}';

    SELECT * FROM oban_workflow_find_dependents(v_ids, v_new, p_rules) INTO v_dependents;

    IF v_dependents.satisfied_ids IS NOT NULL THEN
      SELECT
        v_fresh || c.jobs, c.groups
      INTO
        v_fresh, v_groups
      FROM
        oban_workflow_count_satisfied(v_dependents.satisfied_ids, v_dependents.satisfied_counts) c;

      IF v_groups IS NOT NULL THEN
        SELECT
          v_fresh || g.jobs, g.emptied, array_fill('executing'::text, ARRAY[cardinality(g.emptied)]), g.new
        INTO
          v_fresh, v_next_ids, v_next_old, v_next_new
        FROM
          oban_workflow_open_gates(v_groups, v_now, p_rules) g;
      END IF;
    END IF;

    IF v_dependents.broken_ids IS NOT NULL THEN
      SELECT
        COALESCE(jobs, '{}'), COALESCE(emptied, '{}')
      FROM
        oban_workflow_break_members(
          v_dependents.broken_ids, v_dependents.broken_causes, v_dependents.broken_counts, v_ids, v_new, p_rules
        )
      INTO
        v_jobs, v_emptied;

      v_next_ids := v_next_ids || v_emptied || v_jobs;
      v_next_old := v_next_old || array_fill('executing'::text, ARRAY[cardinality(v_emptied)])
        || array_fill('suspended'::text, ARRAY[cardinality(v_jobs)]);
      v_next_new := v_next_new || array_fill('cancelled'::text, ARRAY[cardinality(v_emptied) + cardinality(v_jobs)]);
    END IF;

    IF p_rules & 4 > 0 AND cardinality(v_fresh) > 0 THEN
      SELECT
        s.ready, v_next_ids || s.ids, v_next_old || s.old, v_next_new || s.new
      INTO
        v_fresh, v_next_ids, v_next_old, v_next_new
      FROM
        oban_workflow_skip_ready(v_fresh, v_now) s;
    END IF;

    v_ready := v_ready || v_fresh;
    v_fresh := '{}';

    -- Groups are few and their rows are rewritten each time: count many waves at once, and what is released.
    IF cardinality(v_next_ids) = 0 OR cardinality(v_count_ids) > 1000 THEN
      IF p_rules & 16 > 0 THEN
        v_jobs := oban_workflow_count_finals(v_count_ids, v_count_old, v_count_new) || v_ready;
      END IF;

      IF p_rules & 32 > 0 THEN
        SELECT v_next_ids || c.ids, v_next_old || c.old, v_next_new || c.new, v_ready || c.lines, '{}', '{}', '{}', '{}'
        FROM oban_workflow_count_first(v_count_ids, v_count_old, v_count_new, v_started, p_rules) c
        INTO v_next_ids, v_next_old, v_next_new, v_ready, v_count_ids, v_count_old, v_count_new, v_started;
      END IF;

      IF cardinality(v_ready) > 0 THEN
        SELECT * FROM oban_workflow_release(v_ready, v_now, p_rules) INTO v_released;

        v_count_ids := v_count_ids || v_released.ids;
        v_count_old := v_count_old || array_fill('suspended'::text, ARRAY[cardinality(v_released.ids)]);
        v_count_new := v_count_new || array_fill('available'::text, ARRAY[cardinality(v_released.ids)]);
        v_queues := v_queues || v_released.queues;
        v_ready := '{}';
        v_next_ids := v_next_ids || v_released.settled;
        v_next_old := v_next_old || array_fill('suspended'::text, ARRAY[COALESCE(cardinality(v_released.settled), 0)]);
        v_next_new := v_next_new || v_released.new;
      END IF;

      SELECT v_next_ids || c.ids, v_next_old || c.old, v_next_new || c.new, '{}', '{}', '{}', '{}'
      FROM oban_workflow_update_counters(v_count_ids, v_count_old, v_count_new, v_started, p_rules) c
      INTO v_next_ids, v_next_old, v_next_new, v_count_ids, v_count_old, v_count_new, v_started;

      IF p_rules & 16 > 0 THEN
        SELECT b.ready, b.waiting, b.ids, b.old, b.new
        FROM oban_workflow_end_bodies(v_jobs, v_ends, v_next_ids, v_next_old, v_next_new) b
        INTO v_fresh, v_ends, v_next_ids, v_next_old, v_next_new;
      END IF;

      IF p_rules & 1024 > 0 THEN
        v_queues := v_queues || oban_workflow_hand_over_all(v_next_ids);
      END IF;
    END IF;

    v_ids := v_next_ids;
    v_old := v_next_old;
    v_new := v_next_new;
  END LOOP;

  RETURN v_queues;
END;
$$;
