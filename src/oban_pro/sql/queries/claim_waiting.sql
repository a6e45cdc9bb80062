-- Claim waits for signals that have opened, and still are open, and were not announced yet: each goes to one caller.
WITH claimed AS (
  UPDATE
    /* TEMPLATE: schema */oban_workflow_waits
  SET
    announced = true
  WHERE
    -- an array leaves the primary key as the only way; IN (SELECT …) may read all waits
    id = ANY(ARRAY(
      SELECT
        id
      FROM
        /* TEMPLATE: schema */oban_workflow_waits
      WHERE
        is_open
        AND kind = 'signal'
        AND NOT announced
      -- in the order of the index: such a scan marks entries of rows that are claimed, and the next one skips them
      ORDER BY
        id
      LIMIT
        1000
      FOR NO KEY UPDATE SKIP LOCKED
    ))
  RETURNING
    id, root
)
SELECT
  g.id, g.name, /* TEMPLATE: schema */oban_workflow_path_v1(claimed.id)
FROM
  claimed
  CROSS JOIN LATERAL (
    SELECT id, name FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = claimed.root OFFSET 0
  ) g
ORDER BY
  claimed.id
