-- The critical path of a workflow: from the member that ended last, through the upstream that ended last, to the start; and
-- the same inside of groups that are small or opened. It reads only members next to the path, however many others there are.
-- A member that has not started is not on the path. One that runs ends last of all. A group ends when the caller says.
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
            -- a job of a fan-out depends on none of its own
            AND NOT EXISTS (
              SELECT
              FROM
                /* TEMPLATE: schema */oban_workflow_groups
              WHERE
                key = path.group_key
                AND path.id > 0
                AND kind = 'fan_out'
            )
          UNION ALL
          SELECT
            along.key, path.group_key, path.id
          FROM
            /* TEMPLATE: schema */oban_workflow_along_v1(path.id) AS along(key)
          WHERE
            path.id < 0
            AND path.group_key IS NOT NULL
            AND along.key IS NOT NULL
          UNION ALL
          -- what is grafted waited for its grafter, without an edge
          SELECT
            m.id, path.group_key, path.id
          FROM
            /* TEMPLATE: schema */oban_workflow_groups g
            JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = g.key
          WHERE
            path.id < 0
            AND g.key = path.group_key
            AND g.kind = 'graft'
            AND m.id > 0
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
              WHEN next.id < 0 THEN COALESCE(
                (%(ends)s::jsonb ->> next.id::text)::timestamp,
                -- a group that nothing is in settled when what it waited for had
                (
                  SELECT
                    max(COALESCE(
                      u.completed_at, u.cancelled_at, u.discarded_at, (%(ends)s::jsonb ->> e.upstream::text)::timestamp, '-infinity'
                    ))
                  FROM
                    /* TEMPLATE: schema */oban_workflow_groups g
                    JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.downstream = g.key
                    LEFT JOIN LATERAL (
                      SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = e.upstream OFFSET 0
                    ) u ON true
                  WHERE
                    g.key = next.id
                    AND g.total + g.subs = 0
                    AND /* TEMPLATE: schema */oban_workflow_is_settled_v1(g.state)
                )
              )
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
