-- How many root workflows there are in each state that an index has, counted up to a limit. The order takes the index.
SELECT
  'executing' AS state,
  (
    SELECT
      count(*)
    FROM
      (
        SELECT
          1
        FROM
          /* TEMPLATE: schema */oban_workflow_groups g
        WHERE
          g.parent IS NULL
          AND g.state = 'executing'
        ORDER BY
          g.inserted_at DESC
        LIMIT
          %(limit)s
      ) counted
  ) AS count
UNION ALL
SELECT
  failed.state,
  (
    SELECT
      count(*)
    FROM
      (
        SELECT
          1
        FROM
          /* TEMPLATE: schema */oban_workflow_groups g
        WHERE
          g.parent IS NULL
          AND g.state IN ('cancelled', 'discarded')
          AND g.state = failed.state
        ORDER BY
          g.state, g.inserted_at DESC
        LIMIT
          %(limit)s
      ) counted
  )
FROM
  unnest(ARRAY['cancelled', 'discarded']) failed(state)
