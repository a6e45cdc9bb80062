-- The critical path of a workflow: from what ended last, through the upstream that ended last, to the start, and in
-- groups that are looked into likewise. Only what is next to it is read, however many members there are. What has
-- not started is not on it; what runs ends last of all, and groups end when they are said to.
WITH RECURSIVE path AS (
  SELECT
    g.key AS id, NULL::bigint AS group_key, NULL::bigint AS downstream
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    latest.id, latest.group_key, latest.downstream
  FROM
    path
    CROSS JOIN LATERAL (
      SELECT DISTINCT ON (next.downstream)
        next.id, next.group_key, next.downstream
      FROM
        (
          SELECT
            e.upstream AS id, path.group_key, path.id AS downstream
          FROM
            /* TEMPLATE: schema */oban_workflow_edges e
          WHERE
            e.downstream = path.id
            AND path.group_key IS NOT NULL
          UNION ALL
          SELECT
            m.id, m.group_key, NULL
          FROM
            /* TEMPLATE: schema */oban_workflow_groups g
            JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = g.key
          WHERE
            g.key = path.id
            AND (path.group_key IS NULL OR g.total + g.subs <= 30 OR g.key = ANY(%(opened)s::bigint[]))
        ) next
        LEFT JOIN LATERAL (
          SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = next.id OFFSET 0
        ) j ON true
        CROSS JOIN LATERAL (
          SELECT
            CASE
              WHEN next.id < 0 THEN (%(ends)s::jsonb ->> next.id::text)::timestamp
              WHEN j.attempted_at IS NOT NULL
                THEN COALESCE(j.completed_at, j.cancelled_at, j.discarded_at, 'infinity')
            END AS at
        ) ended
      WHERE
        ended.at IS NOT NULL
      ORDER BY
        next.downstream, ended.at DESC, abs(next.id)
    ) latest
)
SELECT
  path.id, path.group_key, path.downstream
FROM
  path
