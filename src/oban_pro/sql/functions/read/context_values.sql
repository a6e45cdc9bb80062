-- The values that contexts are built from: the contexts of some groups and of those around them, root first; and what
-- was recorded, or failed, in what some readers depend on. Groups come before what is in them.
--
-- p_readers and p_deps say what depends on what, a pair each. A reader is a job, or a group with a gate; of groups only
-- those among p_groups are read.
--
-- Called by: oban_workflow_contexts_v2, whose settings of the planner it runs with. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_context_values(
  p_groups bigint[],
  p_readers bigint[],
  p_deps bigint[],
  OUT reader bigint,
  OUT id bigint,
  OUT parent bigint,
  OUT name text,
  OUT kind text,
  OUT value text
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE news AS MATERIALIZED (
    SELECT unnest(p_groups) AS key
  ),
  upstream AS (
    SELECT
      d.reader, d.id, NULL::bigint AS parent, m.name, m.gone, 0 AS depth
    FROM
      unnest(p_readers, p_deps) AS d(reader, id)
      CROSS JOIN LATERAL (
        SELECT * FROM oban_workflow_members m WHERE m.id = d.id OFFSET 0
      ) m
    WHERE
      d.reader > 0
      OR d.reader IN (SELECT key FROM news)
    UNION ALL
    SELECT
      upstream.reader, m.id, m.group_key, m.name, m.gone, upstream.depth + 1
    FROM
      upstream
      CROSS JOIN LATERAL (
        SELECT * FROM oban_workflow_members m WHERE m.group_key = upstream.id OFFSET 0
      ) m
    WHERE
      upstream.id < 0
  ),
  sources AS (
    SELECT
      news.key AS reader,
      c.key AS id,
      NULL::bigint AS parent,
      '' AS name,
      'context' AS kind,
      c.context::text AS value,
      -1 - c.height AS position
    FROM
      news
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_contexts_around(news.key) OFFSET 0) c
    UNION ALL
    SELECT
      u.reader, u.id, u.parent, u.name, g.kind, NULL, u.depth
    FROM
      upstream u
      CROSS JOIN LATERAL (
        SELECT * FROM oban_workflow_groups g WHERE g.key = u.id OFFSET 0
      ) g
    WHERE
      u.id < 0
    UNION ALL
    SELECT
      u.reader, u.id, u.parent, u.name,
      CASE WHEN j.state <> 'completed' OR j.id IS NULL THEN 'failed' WHEN j.worker = 'oban_pro.workers.BatchCascade' THEN 'batch' ELSE 'job' END,
      CASE
        WHEN j.state = 'completed' THEN j.meta ->> 'return'
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
  )
  SELECT
    reader, id, parent, name, kind, value
  FROM
    sources
  ORDER BY
    position, abs(id);
END;
$$;
