-- Everything in the bookkeeping of one root, or of all, that the states do not bear out: which member of which
-- workflow, which field, what is stored and what it should be.
--
-- Each row is judged by its neighbours as they are stored. Dependencies have no cycles, so where every row
-- agrees with its neighbours all of them are right; where one is wrong, others may follow once it is mended.
--
-- Called by: the doctor. Locks nothing: one statement sees one moment.
CREATE OR REPLACE FUNCTION oban_workflow_audit(p_root bigint)
RETURNS TABLE (root_id text, workflow_id text, name text, field text, stored text, actual text)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
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
    FROM oban_workflow_stuck(p_root)
    UNION ALL
    SELECT
      g.key, f.field, f.stored, f.actual
    FROM
      oban_workflow_expected_groups(p_root) e
      JOIN oban_workflow_groups g ON g.key = e.key
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
          ('subs_discarded', g.subs_discarded::text, e.subs_discarded::text)
      ) AS f(field, stored, actual)
  )
  SELECT
    r.id, COALESCE(o.id, g.id), m.name, d.field, d.stored, d.actual
  FROM
    differences d
    LEFT JOIN oban_workflow_members m ON m.id = d.id
    LEFT JOIN oban_workflow_groups o ON o.key = m.group_key
    LEFT JOIN oban_workflow_groups g ON g.key = d.id
    JOIN oban_workflow_groups r ON r.key = COALESCE(o.root, g.root)
  WHERE
    d.stored IS DISTINCT FROM d.actual
$$;
