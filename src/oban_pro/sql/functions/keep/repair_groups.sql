-- Mend the counters of the groups of a root; returns how many rows it mended.
--
-- Called by: oban_workflow_repair_v1.
-- Locks: rows of groups; the caller holds the root.
-- Called twice: mends nothing.
CREATE OR REPLACE FUNCTION oban_workflow_repair_groups(p_root bigint)
RETURNS integer
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
  WITH mended AS (
    UPDATE
      oban_workflow_groups g
    SET
      empty_state = e.empty_state,
      total = e.total,
      suspended = e.suspended,
      completed = e.completed,
      cancelled = e.cancelled,
      discarded = e.discarded,
      subs = e.subs,
      subs_completed = e.subs_completed,
      subs_cancelled = e.subs_cancelled,
      subs_discarded = e.subs_discarded,
      has_begun = e.has_begun,
      skipped = NULLIF(e.skipped, 0),
      subs_skipped = NULLIF(e.subs_skipped, 0),
      skips = NULLIF(e.skips, false),
      stopped_at = COALESCE(g.stopped_at, timezone('UTC', now()))
    FROM
      oban_workflow_expected_groups(p_root) e
    WHERE
      g.key = ANY(ARRAY[e.key])
      AND (
        g.empty_state, g.total, g.suspended, g.completed, g.cancelled, g.discarded,
        g.subs, g.subs_completed, g.subs_cancelled, g.subs_discarded,
        COALESCE(g.skipped, 0), COALESCE(g.subs_skipped, 0), COALESCE(g.skips, false), g.has_begun
      ) IS DISTINCT FROM (
        e.empty_state, e.total, e.suspended, e.completed, e.cancelled, e.discarded,
        e.subs, e.subs_completed, e.subs_cancelled, e.subs_discarded,
        e.skipped, e.subs_skipped, e.skips, e.has_begun
      )
    RETURNING
      g.key
  )
  SELECT count(*)::int FROM mended
$$;
