-- The SQL expression for the kind of a job by a partition. It is spelled as in the index of the partition, so that a
-- statement with this expression can use that index.
--
-- Called by: oban_workflow_partition_index_v1, oban_workflow_choose_indexed. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_kind_of(p_fields text[], p_keys text[])
RETURNS text
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    quote_ident(current_schema()) || '.oban_workflow_partition_v1(args, meta, worker, tags::text[], '
      || quote_literal(p_fields::text) || '::text[], ' || COALESCE(quote_literal(p_keys::text), 'NULL') || '::text[])'
$$;
