-- A job and everything that waits for it, at any distance: names, by the workflow that they are in. What is nested
-- in a group is not listed: the group stands for it.
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
  g.id, array_agg(m.name ORDER BY abs(m.id))
FROM
  waiting
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = waiting.id
  JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = waiting.group_key
GROUP BY
  g.id
