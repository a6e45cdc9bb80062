-- The limits over all nodes that a producer announces in its meta; NULL for none. They are checked, because anybody may
-- write into meta.
--
-- Called by: the triggers on oban_producers. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_announced(p_meta jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    NULLIF(
      jsonb_strip_nulls(
        jsonb_build_object(
          'global_limit',
          CASE
            WHEN jsonb_typeof(p_meta -> 'global_limit') = 'number' THEN LEAST((p_meta ->> 'global_limit')::numeric::bigint, 2147483647)
          END,
          'allowed',
          CASE WHEN r.is_rate THEN LEAST((p_meta -> 'rate_limit' ->> 'allowed')::numeric::bigint, 2147483647) END,
          'period',
          CASE WHEN r.is_rate THEN (p_meta -> 'rate_limit' ->> 'period')::double precision END
        )
      ),
      '{}'
    ) || CASE
      WHEN jsonb_typeof(p_meta -> 'partition' -> 'fields') = 'array'
        THEN jsonb_build_object('fields', p_meta -> 'partition' -> 'fields', 'keys', p_meta -> 'partition' -> 'keys')
      ELSE '{}'
    END
  FROM (
    SELECT
      jsonb_typeof(p_meta -> 'rate_limit' -> 'allowed') = 'number'
        AND jsonb_typeof(p_meta -> 'rate_limit' -> 'period') = 'number' AS is_rate
  ) r
$$;
