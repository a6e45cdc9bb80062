-- The data that the context of one job is built from: what was added as context to its workflow and to those around it,
-- root first; the jobs that it depends on, with what they recorded; the groups that it depends on, without the results
-- in them; and of what failed in those groups, the jobs, and the groups that they are nested in. A row has a context, or
-- is a source as oban_workflow_contexts_v3 describes it.
--
-- Called by: a node that starts a job with lazy results. Locks nothing.
--
-- It reads one row of oban_workflow_groups for each group, and jobs only of groups in which some failed.
CREATE OR REPLACE FUNCTION oban_workflow_lazy_context_v2(
  p_job bigint,
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
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_group bigint;
  v_gated boolean;
BEGIN
  SELECT group_key, gated INTO v_group, v_gated FROM oban_workflow_members WHERE id = p_job;

  RETURN QUERY
  WITH RECURSIVE direct AS MATERIALIZED (
    SELECT DISTINCT
      d.id
    FROM
      oban_workflow_context_sources(ARRAY[p_job], CASE WHEN v_gated THEN ARRAY[v_group] END) d
  ),
  groups AS (
    SELECT
      g.key, NULL::bigint AS parent, g.kind, g.cancelled + g.discarded AS failed, ARRAY[g.key] AS way
    FROM
      direct
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE key = direct.id OFFSET 0) g
    UNION ALL
    SELECT
      g.key, groups.key, g.kind, g.cancelled + g.discarded, groups.way || g.key
    FROM
      groups
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE parent = groups.key OFFSET 0) g
  ),
  needed AS (
    SELECT DISTINCT unnest(groups.way) AS key FROM groups WHERE groups.failed > 0
  ),
  members AS (
    SELECT
      m.id, NULL::bigint AS parent, m.name, m.gone, NULL AS kind, 0 AS depth
    FROM
      direct
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = direct.id AND id > 0 OFFSET 0) m
    UNION ALL
    SELECT
      groups.key, groups.parent, m.name, NULL, groups.kind, cardinality(groups.way) - 1
    FROM
      groups
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = groups.key OFFSET 0) m
    WHERE
      groups.parent IS NULL
      OR groups.key IN (SELECT key FROM needed)
    UNION ALL
    SELECT
      m.id, groups.key, m.name, m.gone, NULL, cardinality(groups.way)
    FROM
      groups
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE group_key = groups.key AND id > 0 OFFSET 0) m
    WHERE
      groups.failed > 0
  ),
  sources AS (
    SELECT
      c.context::text AS context,
      c.key AS id,
      NULL::bigint AS parent,
      NULL AS name,
      NULL AS kind,
      NULL AS value,
      NULL AS error,
      -1 - c.height AS position
    FROM
      oban_workflow_contexts_around(v_group) c
    UNION ALL
    SELECT
      NULL,
      m.id,
      m.parent,
      m.name,
      COALESCE(m.kind, 'job'),
      CASE WHEN j.state = 'completed' THEN j.meta ->> 'return' END,
      CASE
        WHEN m.id > 0 AND j.state IS DISTINCT FROM 'completed' THEN
          COALESCE(to_jsonb(j.errors) -> -1 ->> 'error', j.state::text, m.gone)
      END,
      m.depth
    FROM
      members m
      LEFT JOIN LATERAL (SELECT * FROM oban_jobs WHERE id = m.id OFFSET 0) j ON true
    WHERE
      m.id < 0
      OR CASE
        WHEN j.state = 'completed' THEN m.parent IS NULL AND j.meta -> 'recorded' = 'true'
        ELSE COALESCE(j.state::text, m.gone) IN ('cancelled', 'discarded', 'deleted')
      END
  )
  SELECT
    context, id, parent, name, kind, value, error
  FROM
    sources
  ORDER BY
    position, abs(id);
END;
$$;
