-- Count changes of members in their groups. Returns the groups whose own state changed by it ('skipped' if they
-- completed without running anything), and the jobs that are cancelled because their group fails fast; each with its
-- state before and after. p_rules are the rare rules of the roots.
--
-- Called by: oban_workflow_apply_changes and the functions it is made of, each change once.
-- Locks: rows of oban_workflow_groups; the caller holds the root.
-- Called twice: counts twice. Only states that groups keep a counter for make a difference.
CREATE OR REPLACE FUNCTION oban_workflow_update_counters(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[],
  p_rules smallint,
  OUT ids bigint[],
  OUT old text[],
  OUT new text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
-- what is looked up needs a nested loop, and has no other way; what is in arrays is joined by hash
SET enable_nestloop = off
SET jit = off
AS $$
DECLARE
  v_cut record;
BEGIN
  WITH members AS MATERIALIZED (
    SELECT id, group_key FROM oban_workflow_members WHERE id = ANY(p_ids)
  ),
  changes AS (
    SELECT
      c.*, g.state
    FROM (
      SELECT
        m.group_key AS key,
        count(*) FILTER (WHERE w.id > 0 AND w.new = 'suspended')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'suspended') AS suspended,
        count(*) FILTER (WHERE w.id > 0 AND w.new IN ('completed', 'skipped'))
          - count(*) FILTER (WHERE w.id > 0 AND w.old IN ('completed', 'skipped')) AS completed,
        count(*) FILTER (WHERE w.id > 0 AND w.new = 'skipped')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'skipped') AS skipped,
        count(*) FILTER (WHERE w.id > 0 AND w.new IN ('cancelled', 'deleted'))
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE w.id > 0 AND w.new = 'discarded')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'discarded') AS discarded,
        count(*) FILTER (WHERE w.id < 0 AND w.new IN ('completed', 'skipped'))
          - count(*) FILTER (WHERE w.id < 0 AND w.old IN ('completed', 'skipped')) AS subs_completed,
        count(*) FILTER (WHERE w.id < 0 AND w.new = 'skipped')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'skipped') AS subs_skipped,
        count(*) FILTER (WHERE w.id < 0 AND w.new = 'cancelled')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'cancelled') AS subs_cancelled,
        count(*) FILTER (WHERE w.id < 0 AND w.new = 'discarded')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'discarded') AS subs_discarded,
        min(w.started) AS started_at
      FROM
        unnest(p_ids, p_old, p_new, p_started) AS w(id, old, new, started)
        JOIN members m ON m.id = w.id
      GROUP BY
        m.group_key
    ) c
      CROSS JOIN LATERAL (
        SELECT
          CASE
            WHEN oban_workflow_group_was_skipped_v2(key, state, total, subs, skipped, subs_skipped, skips, judged) THEN 'skipped'
            ELSE state
          END AS state
        FROM
          oban_workflow_groups
        WHERE
          key = c.key
        OFFSET
          0
      ) g
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
      has_begun = CASE
        WHEN g.has_begun IS NOT NULL THEN g.suspended + c.suspended = 0 AND (
          g.completed + c.completed + g.cancelled + c.cancelled + g.discarded + c.discarded < g.total
          OR g.subs_completed + c.subs_completed + g.subs_cancelled + c.subs_cancelled + g.subs_discarded
            + c.subs_discarded < g.subs
        )
      END,
      skipped = NULLIF(COALESCE(g.skipped, 0) + c.skipped, 0),
      subs_skipped = NULLIF(COALESCE(g.subs_skipped, 0) + c.subs_skipped, 0),
      started_at = LEAST(g.started_at, c.started_at),
      stopped_at = timezone('UTC', now())
    FROM
      changes c
    WHERE
      -- ANY: see PLANS.md
      g.key = ANY(ARRAY[c.key])
    RETURNING
      g.key,
      c.state AS old,
      CASE
        WHEN oban_workflow_group_was_skipped_v2(
          g.key, g.state, g.total, g.subs, g.skipped, g.subs_skipped, g.skips, g.judged
        ) THEN 'skipped'
        ELSE g.state
      END AS new
  )
  SELECT
    COALESCE(array_agg(c.key), '{}'),
    COALESCE(array_agg(c.old), '{}'),
    COALESCE(array_agg(c.new), '{}')
  INTO
    ids, old, new
  FROM
    counted c
  WHERE
    c.old <> c.new;

  IF cardinality(ids) > 0 THEN
    PERFORM oban_workflow_notify_settled(ids, new);
  END IF;

  IF p_rules & 256 > 0 THEN
    SELECT * FROM oban_workflow_fail_fast(p_ids, p_old, p_new, p_rules) INTO v_cut;

    ids := ids || v_cut.ids;
    old := old || v_cut.old;
    new := new || array_fill('cancelled'::text, ARRAY[cardinality(v_cut.ids)]);
  END IF;
END;
$$;
