-- The sources of the contexts of some jobs: what each job itself depends on, and what each gate depends on that some of
-- the jobs wait for. A reader is a job, or a group with a gate.
--
-- Called by: oban_workflow_contexts_v3 and oban_workflow_lazy_context_v2, whose settings of the planner it runs with.
-- Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_context_sources(
  p_jobs bigint[],
  p_groups bigint[],
  OUT reader bigint,
  OUT id bigint
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE gates AS (
    SELECT
      groups.key AS reader, m.id, m.group_key, m.gated
    FROM
      unnest(p_groups) AS groups(key)
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = groups.key OFFSET 0) m
    UNION ALL
    SELECT
      gates.reader, m.id, m.group_key, m.gated
    FROM
      gates
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = gates.group_key OFFSET 0) m
    WHERE
      gates.gated
  ),
  -- in place of the judge of a group stands what the judge waits for
  sources AS (
    SELECT
      waiting.reader, e.upstream, e.judges
    FROM
      (
        SELECT id AS reader, id FROM (SELECT DISTINCT unnest(p_jobs) AS id) jobs
        UNION ALL
        SELECT reader, id FROM gates
      ) waiting
      CROSS JOIN LATERAL (
        SELECT upstream, judges FROM oban_workflow_edges WHERE downstream = waiting.id OFFSET 0
      ) e
    UNION ALL
    SELECT
      sources.reader, e.upstream, e.judges
    FROM
      sources
      CROSS JOIN LATERAL (
        SELECT upstream, judges FROM oban_workflow_edges WHERE downstream = sources.upstream OFFSET 0
      ) e
    WHERE
      sources.judges
  )
  SELECT
    sources.reader, sources.upstream
  FROM
    sources
  WHERE
    sources.judges IS NOT TRUE;
END;
$$;
