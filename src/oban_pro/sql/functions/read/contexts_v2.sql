-- As oban_workflow_contexts_v3, with all rows in one shape, and one version for all that the jobs of a group share: where
-- one of the jobs waits for the gate it is followed by the version of what the gate depends on, and NULL without that.
-- The contexts of groups are returned each time, as a node keeps them only together with the rest.
--
-- Called by: nodes of older releases. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_contexts_v2(
  p_jobs bigint[],
  p_known bigint[],
  p_versions text[],
  OUT reader bigint,
  OUT id bigint,
  OUT parent bigint,
  OUT name text,
  OUT kind text,
  OUT value text
)
RETURNS SETOF record
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    COALESCE(c.job, c.group_key),
    COALESCE(c.id, c.group_key),
    c.parent,
    COALESCE(c.name, ''),
    CASE c.part
      WHEN 'place' THEN 'reader'
      WHEN 'versions' THEN 'shared'
      WHEN 'context' THEN 'context'
      ELSE CASE WHEN c.error IS NULL THEN c.kind ELSE 'failed' END
    END,
    CASE c.part
      WHEN 'place' THEN CASE WHEN c.is_gated THEN 'gated' END
      WHEN 'versions' THEN c.contexts_version || CASE WHEN c.is_gated THEN ' ' || c.gate_version ELSE '' END
      WHEN 'context' THEN c.context
      ELSE COALESCE(c.value, c.error)
    END
  FROM
    oban_workflow_contexts_v3(
      p_jobs,
      p_known,
      '{}',
      -- the last 32 characters of a version are that of a gate, or of something that equals none
      ARRAY(SELECT right(v.version, 32) FROM unnest(p_versions) WITH ORDINALITY AS v(version, n) ORDER BY v.n)
    ) c
$$;
