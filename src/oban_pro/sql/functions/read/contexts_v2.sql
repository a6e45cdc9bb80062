-- The data that the contexts of some jobs are built from. Each row belongs to a reader. A reader is a job, with what
-- the job itself depends on; or a group, with the contexts of its workflow and of those around it, root first, and, if
-- one of the jobs is gated, what the gate depends on. Groups come before what is in them.
--
-- Rows of kind 'reader' tell the group of each job, and whether it waits for the gate of that group. Rows of kind
-- 'shared' tell the version of the rows of a group; if the caller knows that version, no other row of the group is
-- read. The version is NULL while a group that the gate depends on is open. Rows of kind 'failed' are jobs that were
-- cancelled, discarded, or deleted before they settled, with their last error; those of kind 'batch' are
-- jobs that recorded results by the names of their items.
--
-- Called by: a node, for jobs that it starts. Locks nothing.
--
-- It reads a few rows by their keys, whatever the size of the tables, and joins what many readers share by hash:
-- see PLANS.md.
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
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
-- what is looked up needs a nested loop, and has no other way; readers are joined to what they read by hash
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE readers AS (
    SELECT
      m.id, m.group_key, m.gated
    FROM
      oban_workflow_members m
    WHERE
      m.id = ANY(p_jobs)
  ),
  groups AS (
    SELECT r.group_key AS key, bool_or(r.gated) AS gated FROM readers r GROUP BY r.group_key
  ),
  direct AS MATERIALIZED (
    SELECT
      d.reader, d.id
    FROM
      oban_workflow_context_sources(p_jobs, ARRAY(SELECT key FROM groups WHERE gated ORDER BY key)) d
  ),
  shared AS MATERIALIZED (
    SELECT
      v.key, v.version
    FROM
      oban_workflow_context_versions(
        ARRAY(SELECT key FROM groups ORDER BY key),
        ARRAY(SELECT gated FROM groups ORDER BY key),
        ARRAY(SELECT reader FROM direct WHERE reader < 0 ORDER BY reader, id),
        ARRAY(SELECT id FROM direct WHERE reader < 0 ORDER BY reader, id)
      ) v
  ),
  news AS (
    SELECT
      s.key
    FROM
      shared s
    WHERE
      NOT EXISTS (
        SELECT
        FROM
          unnest(p_known, p_versions) AS k(key, version)
        WHERE
          k.key = s.key
          -- what is known with a gate includes the contexts, which never change
          AND starts_with(k.version, s.version)
      )
  ),
  upstream AS (
    SELECT
      d.reader, d.id, NULL::bigint AS parent, m.name, m.gone, 0 AS depth
    FROM
      direct d
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
      r.id AS reader,
      r.group_key AS id,
      NULL::bigint AS parent,
      '' AS name,
      'reader' AS kind,
      CASE WHEN r.gated THEN 'gated' END AS value,
      0 AS position
    FROM
      readers r
    UNION ALL
    SELECT
      s.key, s.key, NULL, '', 'shared', s.version, 0
    FROM
      shared s
    UNION ALL
    SELECT
      news.key, c.key, NULL, '', 'context', c.context::text, -1 - c.height
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
