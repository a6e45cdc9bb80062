-- The kind of a job by a partition, as a number: equal if the values of the given fields are equal, compared as JSON. A
-- missing key is a value of its own.
--
-- p_fields are of args, meta, worker and tags; p_keys those of args and meta, NULL for the whole.
--
-- Called by: oban_workflow_fetch_limited, oban_workflow_choose_jobs; and by the index of a partition, so its result for
-- a job must never change. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_partition_v1(
  p_args jsonb,
  p_meta jsonb,
  p_worker text,
  p_tags text[],
  p_fields text[],
  p_keys text[]
)
RETURNS bigint
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
DECLARE
  v_values jsonb := '[]';
  v_field text;
  v_whole jsonb;
  v_key text;
BEGIN
  FOREACH v_field IN ARRAY p_fields LOOP
    v_whole := CASE v_field WHEN 'args' THEN p_args WHEN 'meta' THEN p_meta WHEN 'worker' THEN to_jsonb(p_worker) ELSE to_jsonb(p_tags) END;

    IF p_keys IS NULL OR v_field IN ('worker', 'tags') THEN
      v_values := v_values || jsonb_build_array(v_whole);
    ELSE
      FOREACH v_key IN ARRAY p_keys LOOP
        -- an empty array for a key that is missing
        v_values := v_values || jsonb_build_array(
          CASE WHEN v_whole ? v_key THEN jsonb_build_array(v_whole -> v_key) ELSE '[]' END
        );
      END LOOP;
    END IF;
  END LOOP;

  RETURN jsonb_hash_extended(v_values, 0);
END;
$$;
