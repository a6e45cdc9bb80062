-- How many members wait for a job, at any distance. A nested group stands for what is in it.
WITH RECURSIVE down AS (
  SELECT
    m.id, m.group_key
  FROM
    /* TEMPLATE: schema */oban_workflow_members m
  WHERE
    m.id = %(job)s
  UNION
  SELECT
    m.id, m.group_key
  FROM
    down
    CROSS JOIN LATERAL (
      SELECT
        e.downstream AS id, false AS around
      FROM
        /* TEMPLATE: schema */oban_workflow_edges e
      WHERE
        e.upstream = down.id
      UNION ALL
      SELECT
        down.group_key, true
    ) next
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = next.id
),
-- a group that only surrounds what runs again is left alone
waiting AS (
  SELECT
    down.id, down.group_key
  FROM
    down
  WHERE
    down.id = %(job)s
    OR EXISTS (
      SELECT
      FROM
        /* TEMPLATE: schema */oban_workflow_edges e
        JOIN down upstream ON upstream.id = e.upstream
      WHERE
        e.downstream = down.id
    )
)
SELECT
  count(*)::int
FROM
  waiting
WHERE
  waiting.id <> %(job)s
