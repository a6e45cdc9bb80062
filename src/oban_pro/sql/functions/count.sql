-- Count changes of members in the groups that hold them; returns the groups whose own state changed by it.
--
-- Called by: oban_workflow_settle and the functions it is made of, each change once.
-- Locks: rows of oban_workflow_groups; the caller holds the root.
-- Twice: counts twice. Only states that groups keep a counter for make a difference.
CREATE OR REPLACE FUNCTION oban_workflow_count(
  p_ids bigint[],
  p_old text[],
  p_new text[],
  p_started timestamp[],
  OUT ids bigint[],
  OUT old text[],
  OUT new text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH changes AS (
    SELECT
      c.*, g.state
    FROM (
      SELECT
        m.group_key AS key,
        count(*) FILTER (WHERE w.id > 0 AND w.new = 'suspended')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'suspended') AS suspended,
        count(*) FILTER (WHERE w.id > 0 AND w.new = 'completed')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'completed') AS completed,
        count(*) FILTER (WHERE w.id > 0 AND w.new IN ('cancelled', 'deleted'))
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE w.id > 0 AND w.new = 'discarded')
          - count(*) FILTER (WHERE w.id > 0 AND w.old = 'discarded') AS discarded,
        count(*) FILTER (WHERE w.id < 0 AND w.new = 'completed')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'completed') AS subs_completed,
        count(*) FILTER (WHERE w.id < 0 AND w.new = 'cancelled')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'cancelled') AS subs_cancelled,
        count(*) FILTER (WHERE w.id < 0 AND w.new = 'discarded')
          - count(*) FILTER (WHERE w.id < 0 AND w.old = 'discarded') AS subs_discarded,
        min(w.started) AS started_at
      FROM
        unnest(p_ids, p_old, p_new, p_started) AS w(id, old, new, started)
        CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = w.id OFFSET 0) m
      GROUP BY
        m.group_key
    ) c
      CROSS JOIN LATERAL (SELECT state FROM oban_workflow_groups WHERE key = c.key OFFSET 0) g
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
      stopped_at = timezone('UTC', now())
    FROM
      changes c
    WHERE
      -- ANY instead of a mere "=" leaves no way but to look each up: a plan to keep
      g.key = ANY(ARRAY[c.key])
    RETURNING
      g.key, c.state AS old, g.state AS new
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
    PERFORM oban_workflow_announce(ids, new);
  END IF;
END;
$$;
