-- As oban_workflow_contexts_v2, without the jobs that failed.
--
-- Called by: nodes of older releases. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_contexts_v1(
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
    c.reader, c.id, c.parent, c.name, c.kind, c.value
  FROM
    oban_workflow_contexts_v2(p_jobs, p_known, p_versions) c
  WHERE
    c.kind <> 'failed'
$$;
