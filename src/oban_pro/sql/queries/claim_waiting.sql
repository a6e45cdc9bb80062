-- Claim waits for signals that have opened, and still are open, and were not announced yet: each goes to one caller.
WITH claimed AS (
  UPDATE
    /* TEMPLATE: schema */oban_workflow_waits
  SET
    announced = true
  WHERE
    -- an array leaves the primary key as the only way; IN (SELECT …) may read all waits
    id = ANY((SELECT /* TEMPLATE: schema */oban_workflow_unannounced_waits_v1())::bigint[])
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
