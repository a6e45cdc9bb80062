-- Carry changes of job states through the workflows they belong to: count them, settle the groups they
-- complete, release the jobs whose last dependency is satisfied, cancel those with one that broke, and so
-- on down until nothing moves.
--
-- p_ids are jobs, p_old and p_new their states before and after ('deleted' for a row that is gone),
-- p_started when they were attempted. Jobs that are in no workflow are passed over.
--
-- Called by: the triggers on oban_jobs, in the transaction that changed the states.
-- Locks: the roots (oban_workflow_lock_roots), then rows of the three tables, then suspended jobs.
-- Twice: each call applies differences, so a caller reports each change once. The triggers do: a row
-- changes its state in one statement.
--
-- It loops over waves instead of recursing, so ten thousand levels of cancellation need no stack, and
-- sets a flag that keeps the triggers from answering its own updates.
CREATE OR REPLACE FUNCTION oban_workflow_settle(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[] DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
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
  v_count_ids bigint[];
  v_count_old text[];
  v_count_new text[];
  -- dependents that the wave touches
  v_down bigint[];
  v_delta integer[];
  v_broken bigint[];
  v_causes text[];
  v_mended bigint[];
  v_ready bigint[];
  v_opened bigint[];
  v_closed bigint[];
  v_release bigint[] := '{}';
  v_queue text;
BEGIN
  IF NOT oban_workflow_lock_roots(p_ids) THEN
    RETURN;
  END IF;

  PERFORM set_config('oban_workflows.engine', 'on', true);

  -- Somebody made a job runnable whose dependencies are not satisfied: it waits for them.
  IF EXISTS (
    SELECT
    FROM
      unnest(v_old, v_new) AS w(old, new)
    WHERE
      w.old IN ('suspended', 'completed', 'cancelled', 'discarded')
      AND w.new IN ('available', 'scheduled', 'retryable')
  ) THEN
    WITH held AS (
      UPDATE
        oban_jobs j
      SET
        state = 'suspended'
      FROM
        unnest(v_ids, v_old, v_new) AS w(id, old, new)
        JOIN oban_workflow_members m ON m.id = w.id
      WHERE
        j.id = w.id
        AND m.pending > 0
        AND w.old IN ('suspended', 'completed', 'cancelled', 'discarded')
        AND w.new IN ('available', 'scheduled', 'retryable')
      RETURNING
        j.id
    )
    SELECT
      array_agg(w.id ORDER BY w.n),
      array_agg(w.old ORDER BY w.n),
      array_agg(CASE WHEN held.id IS NULL THEN w.new ELSE 'suspended' END ORDER BY w.n)
    INTO
      v_ids, v_old, v_new
    FROM
      unnest(v_ids, v_old, v_new) WITH ORDINALITY AS w(id, old, new, n)
      LEFT JOIN held ON held.id = w.id;
  END IF;

  LOOP
    v_count_ids := '{}';
    v_count_old := '{}';
    v_count_new := '{}';

    WHILE cardinality(v_ids) > 0 LOOP
      v_count_ids := v_count_ids || v_ids;
      v_count_old := v_count_old || v_old;
      v_count_new := v_count_new || v_new;
      v_next_ids := '{}';
      v_next_old := '{}';
      v_next_new := '{}';

      SELECT
        array_agg(d.id ORDER BY d.id) FILTER (WHERE d.delta <> 0),
        array_agg(d.delta ORDER BY d.id) FILTER (WHERE d.delta <> 0),
        array_agg(d.id ORDER BY d.id) FILTER (WHERE d.cause IS NOT NULL),
        array_agg(d.cause ORDER BY d.id) FILTER (WHERE d.cause IS NOT NULL),
        array_agg(d.id ORDER BY d.id) FILTER (WHERE d.mended AND d.id < 0)
      INTO
        v_down, v_delta, v_broken, v_causes, v_mended
      FROM (
        SELECT
          m.id,
          sum(
            oban_workflow_satisfies(w.old, m.ignore_cancelled, m.ignore_discarded)::int
            - oban_workflow_satisfies(w.new, m.ignore_cancelled, m.ignore_discarded)::int
          )::int AS delta,
          min(
            CASE
              WHEN oban_workflow_breaks(w.new, m.ignore_cancelled, m.ignore_discarded)
              THEN oban_workflow_describe(w.id) || ' was ' || w.new
            END
          ) AS cause,
          bool_or(oban_workflow_breaks(w.old, m.ignore_cancelled, m.ignore_discarded)) AS mended
        FROM
          unnest(v_ids, v_old, v_new) AS w(id, old, new)
          JOIN oban_workflow_edges e ON e.upstream = w.id
          JOIN oban_workflow_members m ON m.id = e.downstream
        GROUP BY
          m.id
      ) d;

      v_opened := NULL;
      v_closed := NULL;

      IF v_down IS NOT NULL THEN
        WITH counted AS (
          UPDATE
            oban_workflow_members m
          SET
            pending = m.pending + d.delta
          FROM
            unnest(v_down, v_delta) AS d(id, delta)
          WHERE
            m.id = d.id
          RETURNING
            m.id, m.pending, d.delta
        )
        SELECT
          array_agg(c.id) FILTER (WHERE c.id > 0 AND c.pending = 0 AND c.delta < 0),
          array_agg(c.id) FILTER (WHERE c.id < 0 AND c.pending = 0 AND c.delta < 0),
          array_agg(c.id) FILTER (WHERE c.id < 0 AND c.pending = c.delta AND c.delta > 0)
        INTO
          v_ready, v_opened, v_closed
        FROM
          counted c;

        v_release := v_release || COALESCE(v_ready, '{}');
      END IF;

      -- What a group depends on is its gate: members that wait for it alone share one count.
      WHILE v_opened IS NOT NULL OR v_closed IS NOT NULL LOOP
        WITH emptied AS (
          UPDATE
            oban_workflow_groups g
          SET
            empty_state = CASE WHEN g.key = ANY(v_opened) THEN 'completed' ELSE 'executing' END
          FROM
            oban_workflow_groups o
          WHERE
            g.key = ANY(v_opened || v_closed)
            AND g.total + g.subs = 0
            AND o.key = g.key
          RETURNING
            g.key, o.state AS old, g.state AS new
        )
        SELECT
          v_next_ids || COALESCE(array_agg(e.key), '{}'),
          v_next_old || COALESCE(array_agg(e.old), '{}'),
          v_next_new || COALESCE(array_agg(e.new), '{}')
        INTO
          v_next_ids, v_next_old, v_next_new
        FROM
          emptied e
        WHERE
          e.old <> e.new;

        WITH counted AS (
          UPDATE
            oban_workflow_members m
          SET
            pending = m.pending + CASE WHEN m.group_key = ANY(v_opened) THEN -1 ELSE 1 END
          WHERE
            m.group_key = ANY(v_opened || v_closed)
            AND m.gated
          RETURNING
            m.id, m.pending, COALESCE(m.group_key = ANY(v_opened), false) AS opened
        )
        SELECT
          array_agg(c.id) FILTER (WHERE c.id > 0 AND c.pending = 0 AND c.opened),
          array_agg(c.id) FILTER (WHERE c.id < 0 AND c.pending = 0 AND c.opened),
          array_agg(c.id) FILTER (WHERE c.id < 0 AND c.pending = 1 AND NOT c.opened)
        INTO
          v_ready, v_opened, v_closed
        FROM
          counted c;

        v_release := v_release || COALESCE(v_ready, '{}');
      END LOOP;

      -- An empty group that had been broken waits again once nothing breaks it any more.
      IF v_mended IS NOT NULL THEN
        WITH RECURSIVE touched AS (
          SELECT
            id
          FROM
            unnest(v_mended) AS u(id)
          UNION
          SELECT
            m.id
          FROM
            touched
            JOIN oban_workflow_members m ON m.group_key = touched.id
          WHERE
            m.gated
            AND m.id < 0
        ),
        emptied AS (
          UPDATE
            oban_workflow_groups g
          SET
            empty_state = CASE WHEN m.pending = 0 THEN 'completed' ELSE 'executing' END
          FROM
            touched
            JOIN oban_workflow_members m ON m.id = touched.id
          WHERE
            g.key = touched.id
            AND g.total + g.subs = 0
            AND g.empty_state = 'cancelled'
            AND NOT oban_workflow_gate_broken(g.key)
          RETURNING
            g.key, g.state AS new
        )
        SELECT
          v_next_ids || COALESCE(array_agg(e.key), '{}'),
          v_next_old || COALESCE(array_agg('cancelled'::text), '{}'),
          v_next_new || COALESCE(array_agg(e.new), '{}')
        INTO
          v_next_ids, v_next_old, v_next_new
        FROM
          emptied e;
      END IF;

      IF v_broken IS NOT NULL THEN
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
            JOIN oban_workflow_members m ON m.group_key = broken.id
          WHERE
            m.gated
        ),
        emptied AS (
          UPDATE
            oban_workflow_groups g
          SET
            empty_state = 'cancelled'
          FROM
            broken
          WHERE
            broken.id < 0
            AND g.key = broken.id
            AND g.total + g.subs = 0
            AND g.empty_state = 'executing'
          RETURNING
            g.key
        ),
        cancelled AS (
          UPDATE
            oban_jobs j
          SET
            state = 'cancelled',
            cancelled_at = v_now,
            errors = j.errors || jsonb_build_object(
              'attempt', j.attempt,
              'at', to_char(v_now, 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
              'error', 'cancelled because upstream ' || broken.cause
            )
          FROM
            broken
          WHERE
            broken.id > 0
            AND j.id = broken.id
            AND j.state = 'suspended'
          RETURNING
            j.id
        )
        SELECT
          v_next_ids || COALESCE(array_agg(c.id), '{}'),
          v_next_old || COALESCE(array_agg(c.old), '{}'),
          v_next_new || COALESCE(array_agg('cancelled'::text), '{}')
        INTO
          v_next_ids, v_next_old, v_next_new
        FROM (
          SELECT id, 'suspended'::text AS old FROM cancelled
          UNION ALL
          SELECT key, 'executing' FROM emptied
        ) c;
      END IF;

      v_ids := v_next_ids;
      v_old := v_next_old;
      v_new := v_next_new;
    END LOOP;

    EXIT WHEN cardinality(v_count_ids) = 0;

    WITH changes AS (
      SELECT
        m.group_key AS key,
        (count(*) FILTER (WHERE w.id > 0 AND w.new = 'suspended')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'suspended'))::int AS suspended,
        (count(*) FILTER (WHERE w.id > 0 AND w.new = 'completed')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'completed'))::int AS completed,
        (count(*) FILTER (WHERE w.id > 0 AND w.new IN ('cancelled', 'deleted'))
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'cancelled'))::int AS cancelled,
        (count(*) FILTER (WHERE w.id > 0 AND w.new = 'discarded')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'discarded'))::int AS discarded,
        (count(*) FILTER (WHERE w.id < 0 AND w.new = 'completed')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'completed'))::int AS subs_completed,
        (count(*) FILTER (WHERE w.id < 0 AND w.new = 'cancelled')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'cancelled'))::int AS subs_cancelled,
        (count(*) FILTER (WHERE w.id < 0 AND w.new = 'discarded')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'discarded'))::int AS subs_discarded,
        min(w.started) AS started_at
      FROM
        unnest(v_count_ids, v_count_old, v_count_new, v_started) AS w(id, old, new, started)
        JOIN oban_workflow_members m ON m.id = w.id
      GROUP BY
        m.group_key
    ),
    counted AS (
      UPDATE
        oban_workflow_groups g
      SET
        suspended = g.suspended + c.suspended,
        completed = g.completed + c.completed,
        cancelled = g.cancelled + c.cancelled,
        discarded = g.discarded + c.discarded,
        subs_completed = g.subs_completed + c.subs_completed,
        subs_cancelled = g.subs_cancelled + c.subs_cancelled,
        subs_discarded = g.subs_discarded + c.subs_discarded,
        started_at = LEAST(g.started_at, c.started_at),
        stopped_at = v_now
      FROM
        changes c
        JOIN oban_workflow_groups o ON o.key = c.key
      WHERE
        g.key = c.key
      RETURNING
        g.key, o.state AS old, g.state AS new
    )
    SELECT
      COALESCE(array_agg(c.key), '{}'),
      COALESCE(array_agg(c.old), '{}'),
      COALESCE(array_agg(c.new), '{}')
    INTO
      v_ids, v_old, v_new
    FROM
      counted c
    WHERE
      c.old <> c.new;

    v_started := '{}';
  END LOOP;

  IF cardinality(v_release) > 0 THEN
    FOR v_queue IN
      WITH released AS (
        UPDATE
          oban_jobs j
        SET
          state = CASE WHEN j.scheduled_at > v_now THEN 'scheduled' ELSE 'available' END::oban_job_state,
          scheduled_at = GREATEST(j.scheduled_at, v_now)
        FROM
          oban_workflow_members m
        WHERE
          m.id = ANY(v_release)
          AND m.pending = 0
          AND j.id = m.id
          AND j.state = 'suspended'
        RETURNING
          m.group_key, j.queue, j.state
      ),
      counted AS (
        UPDATE
          oban_workflow_groups g
        SET
          suspended = g.suspended - r.released
        FROM
          (SELECT group_key, count(*)::int AS released FROM released GROUP BY group_key) r
        WHERE
          g.key = r.group_key
      )
      SELECT DISTINCT
        queue
      FROM
        released
      WHERE
        state = 'available'
    LOOP
      PERFORM oban_workflow_wake(v_queue);
    END LOOP;
  END IF;

  PERFORM set_config('oban_workflows.engine', 'off', true);
END;
$$;
