-- Which indexes a large table of jobs lacks, which of these exist but are unfinished, and the time. An index that is being
-- built at this moment counts as neither.
SELECT
  COALESCE(array_agg(name) FILTER (WHERE i.indexrelid IS NULL OR NOT i.indisvalid), '{}') AS missing,
  COALESCE(array_agg(name) FILTER (WHERE NOT i.indisvalid), '{}') AS unfinished,
  clock_timestamp() AS since
FROM
  unnest(%(names)s::text[]) AS name
  LEFT JOIN pg_index i ON i.indexrelid = to_regclass('/* TEMPLATE: schema */' || name)
  LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = i.indexrelid
WHERE
  p.pid IS NULL
  AND pg_relation_size(to_regclass('/* TEMPLATE: schema */oban_jobs')) > %(size)s
