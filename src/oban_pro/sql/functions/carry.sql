-- Carry settled jobs down: count them, settle the groups they complete, cancel the jobs that one of them
-- breaks, release those that nothing is pending for any more, and so on until nothing moves. Returns the
-- queues that have work now, for the caller to wake.
--
-- p_ids are jobs, p_old and p_new their states before and after ('deleted' for a row that is gone), none of
-- them settled before. So every change is final: what is settled here stays so to the end. p_ready are jobs
-- that may be released as well.
--
-- It loops over waves instead of recursing, so ten thousand levels of cancellation need no stack.
--
-- Called by: oban_workflow_ack, oban_workflow_settle; oban_workflow_extend and oban_workflow_repair.
-- Locks: rows of the three tables, and suspended jobs; the caller holds the root.
-- Twice: counts twice.
CREATE OR REPLACE FUNCTION oban_workflow_carry(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[],
  p_ready bigint[]
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
  -- dependents that the wave satisfies or breaks, and which of the wave broke each
  v_down bigint[];
  v_satisfied integer[];
  v_broken bigint[];
  v_causes bigint[];
  v_opened bigint[];
  v_some bigint[];
  v_ready bigint[] := p_ready;
  v_released record;
  -- not the start of the transaction: a job may have been inserted since, while this one waited for the lock
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_queues text[] := '{}';
BEGIN
  WHILE cardinality(v_ids) + cardinality(v_ready) > 0 LOOP
    v_count_ids := v_count_ids || v_ids;
    v_count_old := v_count_old || v_old;
    v_count_new := v_count_new || v_new;
    v_next_ids := '{}';
    v_next_old := '{}';
    v_next_new := '{}';

    SELECT
      array_agg(d.id ORDER BY d.id) FILTER (WHERE d.satisfied > 0),
      array_agg(d.satisfied ORDER BY d.id) FILTER (WHERE d.satisfied > 0),
      array_agg(d.id ORDER BY d.id) FILTER (WHERE d.cause IS NOT NULL),
      array_agg(d.cause ORDER BY d.id) FILTER (WHERE d.cause IS NOT NULL)
    INTO
      v_down, v_satisfied, v_broken, v_causes
    FROM (
      SELECT
        m.id,
        count(*) FILTER (
          WHERE oban_workflow_satisfies(w.new, m.ignore_cancelled, m.ignore_discarded)
        )::int AS satisfied,
        min(w.id) FILTER (
          WHERE oban_workflow_breaks(w.new, m.ignore_cancelled, m.ignore_discarded)
        ) AS cause
      FROM
        unnest(v_ids, v_new) AS w(id, new)
        CROSS JOIN LATERAL (
          SELECT downstream FROM oban_workflow_edges WHERE upstream = w.id OFFSET 0
        ) e
        CROSS JOIN LATERAL (
          SELECT id, ignore_cancelled, ignore_discarded FROM oban_workflow_members WHERE id = e.downstream OFFSET 0
        ) m
      GROUP BY
        m.id
    ) d;

    v_opened := NULL;

    IF v_down IS NOT NULL THEN
      WITH counted AS (
        UPDATE
          oban_workflow_members m
        SET
          pending = m.pending - d.satisfied
        FROM
          unnest(v_down, v_satisfied) AS d(id, satisfied)
        WHERE
          -- see oban_workflow_count
          m.id = ANY(ARRAY[d.id])
        RETURNING
          m.id, m.pending
      )
      SELECT
        array_agg(c.id) FILTER (WHERE c.id > 0),
        array_agg(c.id) FILTER (WHERE c.id < 0)
      INTO
        v_some, v_opened
      FROM
        counted c
      WHERE
        c.pending = 0;

      v_ready := v_ready || v_some;
    END IF;

    -- What a group depends on is its gate: jobs that wait for it alone share its count.
    WHILE v_opened IS NOT NULL LOOP
      WITH emptied AS (
        UPDATE
          oban_workflow_groups g
        SET
          empty_state = 'completed'
        WHERE
          g.key = ANY(v_opened)
          AND g.total + g.subs = 0
        RETURNING
          g.key
      )
      SELECT
        v_next_ids || array_agg(e.key),
        v_next_old || array_agg('executing'::text),
        v_next_new || array_agg('completed'::text)
      INTO
        v_next_ids, v_next_old, v_next_new
      FROM
        emptied e;

      v_ready := v_ready || ARRAY(
        SELECT m.id FROM oban_workflow_members m WHERE m.group_key = ANY(v_opened) AND m.gated AND m.id > 0
      );

      WITH counted AS (
        UPDATE
          oban_workflow_members m
        SET
          pending = m.pending - 1
        WHERE
          m.id = ANY(ARRAY(SELECT key FROM oban_workflow_groups WHERE parent = ANY(v_opened)))
          AND m.gated
        RETURNING
          m.id
      )
      SELECT
        array_agg(c.id)
      INTO
        v_opened
      FROM
        counted c;
    END LOOP;

    -- A broken gate breaks those that wait for it, at any depth.
    IF v_broken[1] < 0 THEN
      WITH RECURSIVE broken AS (
        SELECT
          b.id, b.cause
        FROM
          unnest(v_broken, v_causes) AS b(id, cause)
        UNION ALL
        SELECT
          m.id, broken.cause
        FROM
          broken
          -- OFFSET 0 keeps the planner on the index, however few groups there are
          CROSS JOIN LATERAL (
            SELECT id FROM oban_workflow_members WHERE group_key = broken.id AND gated OFFSET 0
          ) m
        WHERE
          broken.id < 0
      )
      SELECT
        array_agg(id), array_agg(cause)
      INTO
        v_broken, v_causes
      FROM
        broken;

      WITH emptied AS (
        UPDATE
          oban_workflow_groups g
        SET
          empty_state = 'cancelled'
        WHERE
          g.key = ANY(v_broken)
          AND g.total + g.subs = 0
          AND g.empty_state = 'executing'
        RETURNING
          g.key
      )
      SELECT
        v_next_ids || array_agg(e.key),
        v_next_old || array_agg('executing'::text),
        v_next_new || array_agg('cancelled'::text)
      INTO
        v_next_ids, v_next_old, v_next_new
      FROM
        emptied e;
    END IF;

    IF v_broken IS NOT NULL THEN
      WITH causes AS MATERIALIZED (
        SELECT
          w.id, oban_workflow_describe(w.id) || ' was ' || w.new AS text
        FROM
          unnest(v_ids, v_new) AS w(id, new)
          JOIN (SELECT DISTINCT cause FROM unnest(v_causes) AS u(cause)) c ON c.cause = w.id
      ),
      broken AS MATERIALIZED (
        SELECT
          b.id, causes.text
        FROM
          unnest(v_broken, v_causes) AS b(id, cause)
          JOIN causes ON causes.id = b.cause
      ),
      cancelled AS (
        UPDATE
          oban_jobs j
        SET
          state = 'cancelled',
          cancelled_at = timezone('UTC', now()),
          errors = j.errors || jsonb_build_object(
            'attempt', j.attempt,
            'at', to_char(timezone('UTC', now()), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
            'error', 'cancelled because upstream ' || b.text
          )
        FROM
          broken b
        WHERE
          -- see oban_workflow_count
          j.id = ANY(ARRAY[b.id])
          AND (j.state = 'suspended') IS TRUE
        RETURNING
          j.id
      )
      SELECT
        v_next_ids || array_agg(c.id),
        v_next_old || array_agg('suspended'::text),
        v_next_new || array_agg('cancelled'::text)
      INTO
        v_next_ids, v_next_old, v_next_new
      FROM
        cancelled c;
    END IF;

    -- Groups are few and their rows are rewritten each time: count many waves at once, and what is released.
    IF cardinality(v_next_ids) = 0 OR cardinality(v_count_ids) > 1000 THEN
      IF cardinality(v_ready) > 0 THEN
        SELECT * FROM oban_workflow_release(v_ready, v_now) INTO v_released;

        v_count_ids := v_count_ids || v_released.ids;
        v_count_old := v_count_old || array_fill('suspended'::text, ARRAY[cardinality(v_released.ids)]);
        v_count_new := v_count_new || array_fill('available'::text, ARRAY[cardinality(v_released.ids)]);
        v_queues := v_queues || v_released.queues;
        v_ready := '{}';
      END IF;

      SELECT
        v_next_ids || c.ids, v_next_old || c.old, v_next_new || c.new
      INTO
        v_next_ids, v_next_old, v_next_new
      FROM
        oban_workflow_count(v_count_ids, v_count_old, v_count_new, v_started) c;

      v_count_ids := '{}';
      v_count_old := '{}';
      v_count_new := '{}';
      v_started := '{}';
    END IF;

    v_ids := v_next_ids;
    v_old := v_next_old;
    v_new := v_next_new;
  END LOOP;

  RETURN v_queues;
END;
$$;
