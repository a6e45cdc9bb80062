-- What the counters of each group should be, by the states of its jobs and of the groups in it as they are
-- stored. Of one root, or of all.
--
-- If rows of jobs vanished without a trigger seeing it, nobody knows how these jobs ended. Counts that such jobs can
-- account for are left as they are.
--
-- Called by: oban_workflow_audit_v1, oban_workflow_repair_v1. Locks nothing. One root and all of them
-- need plans of their own.
CREATE OR REPLACE FUNCTION oban_workflow_expected_groups(p_root bigint)
RETURNS TABLE (
  key bigint,
  empty_state text,
  total integer,
  suspended integer,
  completed integer,
  cancelled integer,
  discarded integer,
  subs integer,
  subs_completed integer,
  subs_cancelled integer,
  subs_discarded integer,
  has_begun boolean,
  skipped integer,
  subs_skipped integer,
  skips boolean
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH groups AS (
    SELECT
      g.*
    FROM
      oban_workflow_groups g
    WHERE
      p_root IS NULL
      OR g.root = p_root
  ),
  jobs AS (
    SELECT
      m.group_key AS key,
      COALESCE(oban_workflow_job_state_v1(j.state::text, j.attempt, j.meta), m.gone) AS state
    FROM
      groups g
      JOIN oban_workflow_members m ON m.group_key = g.key
      LEFT JOIN oban_jobs j ON j.id = m.id
    WHERE
      m.id > 0
  ),
  known AS (
    SELECT
      jobs.key,
      count(*)::int AS total,
      (count(*) FILTER (WHERE state = 'suspended'))::int AS suspended,
      (count(*) FILTER (WHERE state IN ('completed', 'skipped')))::int AS completed,
      (count(*) FILTER (WHERE state = 'skipped'))::int AS skipped,
      (count(*) FILTER (WHERE state IN ('cancelled', 'deleted')))::int AS cancelled,
      (count(*) FILTER (WHERE state = 'discarded'))::int AS discarded,
      (count(*) FILTER (WHERE state IS NULL))::int AS unknown
    FROM
      jobs
    GROUP BY
      jobs.key
  ),
  counted AS (
    SELECT
      k.key,
      k.total,
      k.suspended,
      k.skipped,
      k.completed + vanished.completed AS completed,
      k.cancelled + vanished.cancelled AS cancelled,
      k.discarded + LEAST(
        GREATEST(g.discarded - k.discarded, 0), k.unknown - vanished.completed - vanished.cancelled
      ) AS discarded
    FROM
      known k
      JOIN groups g ON g.key = k.key
      CROSS JOIN LATERAL (SELECT LEAST(GREATEST(g.completed - k.completed, 0), k.unknown) AS completed) c
      CROSS JOIN LATERAL (
        SELECT
          c.completed, LEAST(GREATEST(g.cancelled - k.cancelled, 0), k.unknown - c.completed) AS cancelled
      ) vanished
  ),
  nested AS (
    SELECT
      g.parent AS key,
      count(*)::int AS subs,
      (count(*) FILTER (WHERE g.state = 'completed'))::int AS completed,
      (
        count(*) FILTER (
          WHERE oban_workflow_group_was_skipped_v2(
            g.key, g.state, g.total, g.subs, g.skipped, g.subs_skipped, g.skips, g.judged
          )
        )
      )::int AS skipped,
      (count(*) FILTER (WHERE g.state = 'cancelled'))::int AS cancelled,
      (count(*) FILTER (WHERE g.state = 'discarded'))::int AS discarded
    FROM
      groups g
    WHERE
      g.parent IS NOT NULL
    GROUP BY
      g.parent
  )
  SELECT
    g.key,
    CASE
      WHEN counted.total > 0 OR nested.subs > 0 OR m.id IS NULL THEN g.empty_state
      WHEN oban_workflow_gate_broken(g.key, r.rules) THEN 'cancelled'
      WHEN m.pending <= 0 THEN 'completed'
      ELSE 'executing'
    END,
    COALESCE(counted.total, 0),
    COALESCE(counted.suspended, 0),
    COALESCE(counted.completed, 0),
    COALESCE(counted.cancelled, 0),
    COALESCE(counted.discarded, 0),
    COALESCE(nested.subs, 0),
    COALESCE(nested.completed, 0),
    COALESCE(nested.cancelled, 0),
    COALESCE(nested.discarded, 0),
    CASE
      WHEN g.has_begun IS NOT NULL OR (
        g.kind = 'graft'
        AND EXISTS (SELECT FROM groups f WHERE f.key = g.parent AND f.kind = 'fan_out' AND COALESCE(f.max_open, f.rate_allowed) IS NOT NULL)
      ) THEN COALESCE(
        counted.suspended = 0 AND (
          counted.completed + counted.cancelled + counted.discarded < counted.total
          OR nested.completed + nested.cancelled + nested.discarded < nested.subs
        ),
        false
      )
    END,
    COALESCE(counted.skipped, 0),
    COALESCE(nested.skipped, 0),
    skipping.key IS NOT NULL
  FROM
    groups g
    JOIN oban_workflow_groups r ON r.key = g.root
    LEFT JOIN counted ON counted.key = g.key
    LEFT JOIN nested ON nested.key = g.key
    LEFT JOIN oban_workflow_members m ON m.id = g.key
    LEFT JOIN oban_workflow_expected_skips(p_root) AS skipping(key) ON skipping.key = g.key;
END;
$$;
