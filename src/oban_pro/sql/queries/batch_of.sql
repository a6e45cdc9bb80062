-- The job that took an item of a fan-out in batches. Batches of a list are named by the numbers of their first
-- and last item, those of a dict hold the keys of their items. If the first member is not a batch, no member is.
-- OFFSET 0 keeps to lookups by key, whatever is known of the tables.
WITH holders AS (
  SELECT
    inside.key
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL (
      SELECT g.key WHERE g.kind <> 'graft'
      UNION ALL
      (SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = g.key AND g.kind = 'graft' OFFSET 0)
    ) inside
  WHERE
    g.key = %(part)s
),
batched AS (
  SELECT
    holders.key
  FROM
    holders
    CROSS JOIN LATERAL (
      SELECT
        id
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = holders.key
      ORDER BY
        name
      LIMIT
        1
    ) m
    CROSS JOIN LATERAL (
      SELECT worker FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
    ) j
  WHERE
    j.worker = 'oban_pro.workers.BatchCascade'
)
SELECT
  m.id
FROM
  batched
  CROSS JOIN LATERAL (
    SELECT
      id, name, regexp_match(name, '^([0-9]{1,18})-([0-9]{1,18})$') AS ends
    FROM
      /* TEMPLATE: schema */oban_workflow_members
    WHERE
      group_key = batched.key
    OFFSET
      0
  ) m
  CROSS JOIN LATERAL (
    SELECT
      args
    FROM
      /* TEMPLATE: schema */oban_jobs
    WHERE
      id = m.id
      AND CASE
        WHEN m.ends IS NULL THEN starts_with(m.name, 'batch-')
        WHEN %(item)s::text ~ '^(0|[1-9][0-9]{0,17})$' THEN %(item)s::bigint BETWEEN m.ends[1]::bigint AND m.ends[2]::bigint
        ELSE false
      END
    OFFSET
      0
  ) j
WHERE
  m.ends IS NOT NULL
  OR j.args -> 'keys' ? %(item)s::text
