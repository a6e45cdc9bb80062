-- Find the values in the bookkeeping of one root, or of all roots, that contradict the states of jobs. Each row names the
-- workflow, the member and the field, with the value that is stored and the value that is right.
--
-- Each row is compared with its neighbours as they are stored. Dependencies have no cycles, so if every row agrees with
-- its neighbours, all rows are right. If one is wrong, mending it may show further wrong ones.
--
-- A settled root without any job left is left to the pruner. An open one is reported, as nothing else would ever remove
-- it.
--
-- Called by: the doctor. Locks nothing: one statement sees one moment.
CREATE OR REPLACE FUNCTION oban_workflow_audit_v1(p_root bigint)
RETURNS TABLE (root_id text, workflow_id text, name text, field text, stored text, actual text)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
-- fail rather than take for gone what is hidden
SET row_security = off
AS $$
  WITH members AS (
    SELECT
      *
    FROM
      oban_workflow_expected_members(p_root)
  ),
  differences AS (
    SELECT id, 'pending' AS field, pending::text AS stored, expected::text AS actual FROM members
    UNION ALL
    SELECT id, 'gone', gone, expected_gone FROM members
    UNION ALL
    SELECT id, 'state', 'suspended', CASE WHEN cause IS NULL THEN 'available' ELSE 'cancelled' END
    FROM oban_workflow_stuck_jobs(p_root)
    UNION ALL
    SELECT
      w.id, f.field, f.stored, f.actual
    FROM
      oban_workflow_expected_waits(p_root) w
      CROSS JOIN LATERAL (
        VALUES
          ('is_open', w.is_open::text, w.expected::text),
          ('due', CASE WHEN w.is_running THEN 'a time' END, CASE WHEN w.is_open THEN 'a time' END)
      ) AS f(field, stored, actual)
    UNION ALL
    SELECT
      j.id, f.field, f.stored, f.actual
    FROM
      oban_workflow_expected_joins(p_root) j
      CROSS JOIN LATERAL (
        VALUES
          ('deps', j.deps::text, j.expected_deps::text),
          ('broken', j.broken::text, j.expected_broken::text),
          ('skipped', j.skipped::text, j.expected_skipped::text)
      ) AS f(field, stored, actual)
    UNION ALL
    SELECT * FROM oban_workflow_expected_keys(p_root)
    UNION ALL
    SELECT
      e.key, f.field, f.stored, f.actual
    FROM
      oban_workflow_expected_ends(p_root) e
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_ends WHERE group_key = e.key OFFSET 0) s
      CROSS JOIN LATERAL (
        VALUES
          ('finals', s.finals::text, e.finals::text),
          ('finals completed', s.completed::text, e.completed::text),
          ('finals cancelled', s.cancelled::text, e.cancelled::text),
          ('finals discarded', s.discarded::text, e.discarded::text),
          ('opened', s.opened::text, e.opened::text),
          ('outcome', s.outcome, e.outcome)
      ) AS f(field, stored, actual)
    UNION ALL
    SELECT
      g.key, f.field, f.stored, f.actual
    FROM
      oban_workflow_expected_groups(p_root) e
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE key = e.key OFFSET 0) g
      CROSS JOIN LATERAL (
        VALUES
          ('empty_state', g.empty_state, e.empty_state),
          ('total', g.total::text, e.total::text),
          ('suspended', g.suspended::text, e.suspended::text),
          ('completed', g.completed::text, e.completed::text),
          ('cancelled', g.cancelled::text, e.cancelled::text),
          ('discarded', g.discarded::text, e.discarded::text),
          ('subs', g.subs::text, e.subs::text),
          ('subs_completed', g.subs_completed::text, e.subs_completed::text),
          ('subs_cancelled', g.subs_cancelled::text, e.subs_cancelled::text),
          ('subs_discarded', g.subs_discarded::text, e.subs_discarded::text),
          ('has_begun', g.has_begun::text, e.has_begun::text),
          ('skipped', COALESCE(g.skipped, 0)::text, e.skipped::text),
          ('subs_skipped', COALESCE(g.subs_skipped, 0)::text, e.subs_skipped::text),
          ('skips', COALESCE(g.skips, false)::text, e.skips::text)
      ) AS f(field, stored, actual)
  ),
  wrong AS MATERIALIZED (
    SELECT
      COALESCE(o.root, g.root) AS root, COALESCE(o.id, g.id) AS workflow_id, m.name, d.field, d.stored, d.actual
    FROM
      differences d
      LEFT JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = d.id OFFSET 0) m ON true
      LEFT JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) o ON true
      LEFT JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE key = d.id OFFSET 0) g ON true
    WHERE
      d.stored IS DISTINCT FROM d.actual
  ),
  roots AS MATERIALIZED (
    SELECT
      r.key, r.id, r.state, oban_workflow_is_free_v1(r.key) AS is_free
    FROM
      (SELECT DISTINCT root FROM wrong) w
      CROSS JOIN LATERAL (SELECT key, id, state FROM oban_workflow_groups WHERE key = w.root OFFSET 0) r
  )
  SELECT
    roots.id, wrong.workflow_id, wrong.name, wrong.field, wrong.stored, wrong.actual
  FROM
    wrong
    JOIN roots ON roots.key = wrong.root
  WHERE
    NOT roots.is_free
  UNION ALL
  SELECT
    roots.id, roots.id, NULL, 'jobs', (SELECT sum(total)::text FROM oban_workflow_groups WHERE root = roots.key), '0'
  FROM
    roots
  WHERE
    roots.is_free
    AND roots.state = 'executing'
$$;
