-- The index of a queue's partition: its name, the fields of the partition, whether the index exists and is valid, and
-- the statement that builds it without blocking writers. No row for a queue without a partition.
--
-- The name contains a hash of the partition, so the index of another partition is never mistaken for it.
--
-- Called by: oban-workflows partition; oban_workflow_choose_kinds. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_partition_index_v1(p_queue text)
RETURNS TABLE (name text, fields text[], keys text[], is_ready boolean, is_there boolean, statement text)
LANGUAGE sql
STABLE
ROWS 1
SET search_path FROM CURRENT
AS $$
  SELECT
    n.name,
    q.fields,
    q.keys,
    COALESCE(i.indisvalid AND i.indisready, false),
    i.indexrelid IS NOT NULL,
    'CREATE INDEX CONCURRENTLY ' || n.name || ' ON ' || quote_ident(current_schema()) || '.oban_jobs ('
      || oban_workflow_kind_of(q.fields, q.keys) || ', priority, scheduled_at, id) WHERE state = ''available'' AND queue = '
      || quote_literal(q.queue)
  FROM
    oban_workflow_queues q
    CROSS JOIN LATERAL (
      SELECT
        'oban_jobs_partition_' || left(md5(jsonb_build_array(q.queue, q.fields, q.keys)::text), 16) AS name
    ) n
    LEFT JOIN pg_index i ON i.indexrelid = to_regclass(quote_ident(current_schema()) || '.' || n.name)
  WHERE
    q.queue = p_queue
    AND q.fields IS NOT NULL
$$;
