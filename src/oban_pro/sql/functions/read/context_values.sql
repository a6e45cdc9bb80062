-- The values that contexts are built from, each in a row of one kind, as oban_workflow_contexts_v3 returns them: the
-- contexts of some groups and of those around them, root first; and what was recorded, or failed, in what some readers
-- depend on. Groups come before what is in them.
--
-- p_contexts are the groups whose contexts are read; see oban_workflow_context_upstream for the others.
--
-- Called by: oban_workflow_contexts_v3, whose settings of the planner it runs with. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_context_values(
  p_contexts bigint[],
  p_gates bigint[],
  p_readers bigint[],
  p_deps bigint[],
  p_jobs bigint[],
  p_places bigint[],
  OUT part text,
  OUT job bigint,
  OUT group_key bigint,
  OUT context text,
  OUT id bigint,
  OUT parent bigint,
  OUT name text,
  OUT kind text,
  OUT value text,
  OUT error text
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH upstream AS MATERIALIZED (
    SELECT
      *
    FROM
      oban_workflow_context_upstream(p_gates, p_readers, p_deps, p_jobs, p_places)
  ),
  sources AS (
    SELECT
      u.reader, u.id, u.parent, u.name, g.kind, NULL AS value, NULL AS error, u.depth
    FROM
      upstream u
      CROSS JOIN LATERAL (
        SELECT * FROM oban_workflow_groups g WHERE g.key = u.id OFFSET 0
      ) g
    WHERE
      u.id < 0
    UNION ALL
    SELECT
      u.reader,
      u.id,
      u.parent,
      u.name,
      CASE WHEN j.worker = 'oban_pro.workers.BatchCascade' THEN 'batch' ELSE 'job' END,
      CASE WHEN j.state = 'completed' THEN j.meta ->> 'return' END,
      CASE
        WHEN j.state = 'completed' THEN NULL
        ELSE COALESCE(to_jsonb(j.errors) -> -1 ->> 'error', j.state::text, u.gone)
      END,
      u.depth
    FROM
      upstream u
      LEFT JOIN LATERAL (SELECT * FROM oban_jobs j WHERE j.id = u.id OFFSET 0) j ON true
    WHERE
      u.id > 0
      AND CASE
        WHEN j.state = 'completed' THEN j.meta -> 'recorded' = 'true'
        ELSE COALESCE(j.state::text, u.gone) IN ('cancelled', 'discarded', 'deleted')
      END
  ),
  found AS (
    SELECT
      'context' AS part,
      NULL::bigint AS job,
      k.key AS group_key,
      c.context::text AS context,
      c.key AS id,
      NULL::bigint AS parent,
      NULL AS name,
      NULL AS kind,
      NULL AS value,
      NULL AS error,
      -1 - c.height AS position
    FROM
      unnest(p_contexts) AS k(key)
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_contexts_around(k.key) OFFSET 0) c
    UNION ALL
    SELECT
      'source',
      CASE WHEN s.reader > 0 THEN s.reader END,
      CASE WHEN s.reader < 0 THEN s.reader END,
      NULL,
      s.id,
      s.parent,
      s.name,
      s.kind,
      s.value,
      s.error,
      s.depth
    FROM
      sources s
  )
  SELECT
    part, job, group_key, context, id, parent, name, kind, value, error
  FROM
    found
  ORDER BY
    position, parent IS NOT NULL, abs(id);
END;
$$;
