-- The failures of a group that tolerates some: how many members were discarded, how many cancelled, how many there are, how
-- many failures it tolerates, and 1 if it fails fast, else 0. NULL for a group that tolerates none: it has no tolerance, it was
-- cancelled as a whole, or its gate broke. The failures of a mapped fan-out are those of what its grafter grafted.
--
-- Called by: the queries that explain a job. Locks nothing. OFFSET 0: see PLANS.md.
CREATE OR REPLACE FUNCTION oban_workflow_failures_v1(p_key bigint)
RETURNS integer[]
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    ARRAY[f.discarded, f.cancelled, f.members, f.tolerated, f.fails_fast::integer]
  FROM
    (
      SELECT
        key, voided
      FROM
        oban_workflow_groups
      WHERE
        key = p_key
      UNION ALL
      SELECT
        grafted.key, grafted.voided
      FROM
        (SELECT key FROM oban_workflow_groups WHERE key = p_key AND kind = 'graft' OFFSET 0) g
        CROSS JOIN LATERAL (SELECT key, voided FROM oban_workflow_groups WHERE parent = g.key OFFSET 0) grafted
    ) o
    CROSS JOIN LATERAL oban_workflow_count_failures(ARRAY[o.key]) f
  WHERE
    o.voided IS NULL
  LIMIT
    1
$$;
