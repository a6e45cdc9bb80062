-- What completed jobs in some ranges of ids recorded, in order of id, with the path of each from its root: NULL for one
-- that recorded nothing, and a dict by the names of its items for a batch. As many of them as take some bytes where they are stored, one at least; `more` tells whether
-- there are others. What is stored is not looked into before that. OFFSET 0 keeps to lookups by key, whatever is known of
-- the tables.
WITH found AS (
  SELECT
    j.id,
    m.group_key,
    m.name,
    sum(pg_column_size(j.meta)) OVER (ORDER BY j.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM
    unnest(%(firsts)s::bigint[], %(lasts)s::bigint[]) AS r(first, last)
    CROSS JOIN LATERAL (
      SELECT
        id, group_key, name
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        id BETWEEN r.first AND r.last
      OFFSET
        0
    ) m
    CROSS JOIN LATERAL (
      SELECT id, state, meta FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
    ) j
  WHERE
    j.state = 'completed'
),
page AS (
  SELECT found.id, found.group_key, found.name FROM found WHERE COALESCE(found.before, 0) < %(bytes)s
),
homes AS (
  SELECT
    h.group_key, /* TEMPLATE: schema */oban_workflow_path_v1(h.group_key) AS path
  FROM
    (SELECT DISTINCT group_key FROM page) h
)
SELECT
  page.id,
  homes.path || page.name AS path,
  CASE WHEN j.meta -> 'recorded' = 'true' THEN j.meta ->> 'return' END AS value,
  j.worker = 'oban_pro.workers.BatchCascade' AS is_batch,
  (SELECT count(*) FROM found) > (SELECT count(*) FROM page) AS more
FROM
  page
  JOIN homes ON homes.group_key = page.group_key
  CROSS JOIN LATERAL (
    SELECT meta, worker FROM /* TEMPLATE: schema */oban_jobs WHERE id = page.id OFFSET 0
  ) j
ORDER BY
  page.id
