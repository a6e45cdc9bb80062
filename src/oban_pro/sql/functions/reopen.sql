-- Take back what settled jobs meant to others: what they had satisfied is pending again, groups that they
-- had settled are open again, and empty groups that they had broken wait again. Jobs that were released or
-- cancelled meanwhile stay what they are.
--
-- p_ids are jobs that had settled, p_old how.
--
-- Called by: oban_workflow_settle, before anything settles. A statement may do both, and a group that
-- seemed to be settled in between would break its dependents for good.
-- Locks: rows of the three tables; the caller holds the root.
-- Twice: takes back twice.
CREATE OR REPLACE FUNCTION oban_workflow_reopen(p_ids bigint[], p_old text[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  -- the wave: members that were settled, jobs and groups alike
  v_ids bigint[] := p_ids;
  v_old text[] := p_old;
  -- of the next wave: groups that are empty, and groups that hold members of this wave
  v_emptied bigint[];
  v_emptied_old text[];
  v_counted bigint[];
  v_counted_old text[];
  -- groups whose gate closes, and groups with one broken dependency less
  v_closed bigint[];
  v_mended bigint[];
BEGIN
  WHILE cardinality(v_ids) > 0 LOOP
    WITH dependents AS (
      SELECT
        m.id,
        count(*) FILTER (
          WHERE oban_workflow_satisfies(w.old, m.ignore_cancelled, m.ignore_discarded)
        )::int AS lost,
        bool_or(oban_workflow_breaks(w.old, m.ignore_cancelled, m.ignore_discarded)) AS mended
      FROM
        unnest(v_ids, v_old) AS w(id, old)
        JOIN oban_workflow_edges e ON e.upstream = w.id
        JOIN oban_workflow_members m ON m.id = e.downstream
      GROUP BY
        m.id
    ),
    counted AS (
      UPDATE
        oban_workflow_members m
      SET
        pending = m.pending + d.lost
      FROM
        dependents d
      WHERE
        m.id = d.id
        AND (d.lost > 0 OR m.id < 0)
      RETURNING
        m.id, m.pending, d.lost, d.mended
    )
    SELECT
      array_agg(c.id) FILTER (WHERE c.pending = c.lost AND c.lost > 0),
      array_agg(c.id) FILTER (WHERE c.mended)
    INTO
      v_closed, v_mended
    FROM
      counted c
    WHERE
      c.id < 0;

    WITH RECURSIVE closed AS (
      SELECT
        id
      FROM
        unnest(v_closed) AS u(id)
      UNION ALL
      SELECT
        m.id
      FROM
        closed
        -- OFFSET 0 keeps the planner on the index, however few groups there are
        CROSS JOIN LATERAL (
          SELECT id FROM oban_workflow_members WHERE group_key = closed.id AND gated OFFSET 0
        ) m
      WHERE
        closed.id < 0
    ),
    counted AS (
      UPDATE
        oban_workflow_members m
      SET
        pending = m.pending + 1
      FROM
        closed
      WHERE
        m.id = closed.id
        AND m.id < 0
        AND m.gated
    ),
    mended AS (
      SELECT
        id
      FROM
        unnest(v_mended) AS u(id)
      UNION
      SELECT
        m.id
      FROM
        mended
        CROSS JOIN LATERAL (
          SELECT id FROM oban_workflow_members WHERE group_key = mended.id AND gated AND id < 0 OFFSET 0
        ) m
    ),
    emptied AS (
      UPDATE
        oban_workflow_groups g
      SET
        empty_state = 'executing'
      FROM
        oban_workflow_groups o
      WHERE
        o.key = g.key
        AND g.total + g.subs = 0
        AND (
          (g.empty_state = 'completed' AND g.key IN (SELECT id FROM closed))
          OR (
            g.empty_state = 'cancelled'
            AND g.key IN (SELECT id FROM mended)
            AND NOT oban_workflow_gate_broken(g.key)
          )
        )
      RETURNING
        g.key, o.state AS old
    )
    SELECT
      COALESCE(array_agg(key), '{}'), COALESCE(array_agg(old), '{}')
    INTO
      v_emptied, v_emptied_old
    FROM
      emptied;

    SELECT
      c.ids, c.old
    INTO
      v_counted, v_counted_old
    FROM
      oban_workflow_count(v_ids, v_old, array_fill('executing'::text, ARRAY[cardinality(v_ids)]), '{}') c;

    v_ids := v_emptied || v_counted;
    v_old := v_emptied_old || v_counted_old;
  END LOOP;
END;
$$;
