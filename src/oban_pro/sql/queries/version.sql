-- The version of the tables, that of the last migration applied; and which functions are missing.
SELECT
  COALESCE(max(m.version), 0) AS version,
  ARRAY(
    SELECT
      name
    FROM
      unnest(%(functions)s::text[]) AS name
    WHERE
      NOT EXISTS (
        SELECT
        FROM
          pg_proc
        WHERE
          proname = name
          AND pronamespace = (
            SELECT relnamespace FROM pg_class WHERE oid = '/* TEMPLATE: schema */oban_workflow_migrations'::regclass
          )
        -- a lookup for each; as a join it reads all functions
        OFFSET
          0
      )
    ORDER BY
      name
  ) AS missing
FROM
  /* TEMPLATE: schema */oban_workflow_migrations m
