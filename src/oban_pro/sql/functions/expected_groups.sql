-- What the counters of each group should be, by the states of its jobs and of the groups in it as they are
-- stored. Of one root, or of all.
--
-- Called by: oban_workflow_audit, oban_workflow_repair. Locks nothing.
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
  subs_discarded integer
)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
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
      m.group_key AS key, COALESCE(j.state::text, m.gone, 'deleted') AS state
    FROM
      groups g
      JOIN oban_workflow_members m ON m.group_key = g.key
      LEFT JOIN oban_jobs j ON j.id = m.id
    WHERE
      m.id > 0
  ),
  counted AS (
    SELECT
      jobs.key,
      count(*)::int AS total,
      (count(*) FILTER (WHERE state = 'suspended'))::int AS suspended,
      (count(*) FILTER (WHERE state = 'completed'))::int AS completed,
      (count(*) FILTER (WHERE state IN ('cancelled', 'deleted')))::int AS cancelled,
      (count(*) FILTER (WHERE state = 'discarded'))::int AS discarded
    FROM
      jobs
    GROUP BY
      jobs.key
  ),
  nested AS (
    SELECT
      g.parent AS key,
      count(*)::int AS subs,
      (count(*) FILTER (WHERE g.state = 'completed'))::int AS completed,
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
      WHEN oban_workflow_gate_broken(g.key) THEN 'cancelled'
      WHEN m.pending = 0 THEN 'completed'
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
    COALESCE(nested.discarded, 0)
  FROM
    groups g
    LEFT JOIN counted ON counted.key = g.key
    LEFT JOIN nested ON nested.key = g.key
    LEFT JOIN oban_workflow_members m ON m.id = g.key
$$;
