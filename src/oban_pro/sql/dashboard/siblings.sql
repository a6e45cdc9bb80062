-- The runs of the same name before and after a root workflow; NULL for none. Runs of the same instant are neither before nor after it. The
-- rows that are compared, and the order, leave the planner the index on names alone.
SELECT
  earlier.id AS previous,
  later.id AS next
FROM
  /* TEMPLATE: schema */oban_workflow_groups own
  LEFT JOIN LATERAL (
    SELECT
      g.id, g.name
    FROM
      /* TEMPLATE: schema */oban_workflow_groups g
    WHERE
      g.parent IS NULL
      AND g.name IS NOT NULL
      AND (g.name, g.inserted_at) < (own.name, own.inserted_at)
    ORDER BY
      g.name DESC, g.inserted_at DESC
    LIMIT 1
  ) earlier ON earlier.name = own.name
  LEFT JOIN LATERAL (
    SELECT
      g.id, g.name
    FROM
      /* TEMPLATE: schema */oban_workflow_groups g
    WHERE
      g.parent IS NULL
      AND g.name IS NOT NULL
      AND (g.name, g.inserted_at) > (own.name, own.inserted_at)
    ORDER BY
      g.name, g.inserted_at
    LIMIT 1
  ) later ON later.name = own.name
WHERE
  own.id = %(id)s
