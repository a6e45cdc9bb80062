-- Which jobs a part of a workflow holds, as ranges of ids without a gap, in order. The part is a job, or a group by its
-- key; with `deep` also what is nested in the group. What was grafted belongs to its graft, and grafters are left out: they
-- record nothing for those who read results. OFFSET 0 keeps to lookups by key, whatever is known of the tables.
WITH RECURSIVE tree AS (
  SELECT
    g.key, g.kind
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.key = %(part)s
  UNION ALL
  SELECT
    g.key, g.kind
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT key, kind FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = tree.key OFFSET 0
    ) g
  WHERE
    %(deep)s
    OR tree.kind = 'graft'
),
jobs AS (
  SELECT
    part.id
  FROM
    (VALUES (%(part)s::bigint)) AS part(id)
  WHERE
    part.id > GREATEST(0, %(after)s)
  UNION ALL
  SELECT
    m.id
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT
        id
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = tree.key
        AND id > GREATEST(0, %(after)s)
      OFFSET
        0
    ) m
  WHERE
    tree.kind <> 'graft'
),
numbered AS (
  SELECT
    jobs.id, jobs.id - row_number() OVER (ORDER BY jobs.id) AS gap
  FROM
    jobs
)
SELECT
  min(numbered.id), max(numbered.id)
FROM
  numbered
GROUP BY
  numbered.gap
ORDER BY
  1
LIMIT
  %(limit)s
