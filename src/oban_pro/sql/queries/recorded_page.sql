-- The values that completed jobs in some ranges of ids recorded, in order of id, with the path of each job from its root:
-- NULL for a job that recorded nothing, a dict by the names of its items for a batch. A page ends once its values take a
-- number of bytes where they are stored, and has one value at least; `more` tells whether others follow. The size is known
-- without reading the values. OFFSET 0: see PLANS.md.
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
