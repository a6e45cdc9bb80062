-- What the contexts of some jobs are made of. Each row belongs to a reader: a job, to which what it depends
-- on by itself belongs; or a group, to which belong the contexts of its workflow and of those around it, root
-- first, and, where a job asks for it, what its gate depends on. Groups come before what is in them.
--
-- Rows of kind 'reader' tell the group of each job, and whether it waits for the gate of that group. Rows of
-- kind 'shared' tell the version of what belongs to a group; where that version is known, nothing else of it
-- is read. There is none while a group that the gate depends on is still open.
--
-- Called by: a node, for jobs that it starts. Locks nothing.
--
-- It reads a few rows by their keys, whatever the size of the tables. A plan that scans one of them instead
-- looks cheaper where statistics are old, and guesses about recursion are far off: hence the settings, and
-- joins in the only order that is ever right (LEFT, or LATERAL behind OFFSET 0).
CREATE OR REPLACE FUNCTION oban_workflow_contexts(
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
SET enable_hashjoin = off
SET enable_mergejoin = off
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
    SELECT
      r.group_key AS key, bool_or(r.gated) AS gated
    FROM
      readers r
    GROUP BY
      r.group_key
  ),
  chain AS (
    SELECT
      groups.key AS reader, g.key, g.parent, g.context, g.inserted_at, 0 AS height
    FROM
      groups
      LEFT JOIN oban_workflow_groups g ON g.key = groups.key
    UNION ALL
    SELECT
      chain.reader, g.key, g.parent, g.context, g.inserted_at, chain.height + 1
    FROM
      chain
      LEFT JOIN oban_workflow_groups g ON g.key = chain.parent
    WHERE
      chain.parent IS NOT NULL
  ),
  waiting AS (
    SELECT
      r.id AS reader, r.id, r.group_key, false AS gated
    FROM
      readers r
    UNION ALL
    SELECT
      groups.key, m.id, m.group_key, m.gated
    FROM
      groups
      LEFT JOIN oban_workflow_members m ON m.id = groups.key
    WHERE
      groups.gated
  ),
  gates AS (
    SELECT
      *
    FROM
      waiting
    UNION ALL
    SELECT
      gates.reader, m.id, m.group_key, m.gated
    FROM
      gates
      LEFT JOIN oban_workflow_members m ON m.id = gates.group_key
    WHERE
      gates.gated
  ),
  direct AS (
    SELECT
      gates.reader, e.upstream AS id
    FROM
      gates
      CROSS JOIN LATERAL (
        SELECT * FROM oban_workflow_edges e WHERE e.downstream = gates.id OFFSET 0
      ) e
  ),
  stamps AS (
    SELECT
      d.reader,
      d.id,
      CASE
        WHEN d.id > 0 THEN concat(j.state, ' ', j.completed_at)
        WHEN g.state <> 'executing' THEN concat(g.stopped_at)
      END AS stamp
    FROM
      direct d
      LEFT JOIN oban_workflow_groups g ON g.key = d.id
      LEFT JOIN oban_jobs j ON j.id = d.id
    WHERE
      d.reader < 0
  ),
  shared AS (
    SELECT
      c.key,
      -- ids and keys come again where tables are emptied, and then at another time
      CASE
        WHEN NOT groups.gated THEN concat(c.inserted_at)
        WHEN count(s.id) = count(s.stamp) THEN
          concat(c.inserted_at, ' ', md5(string_agg(concat(s.id, ' ', s.stamp), ',' ORDER BY s.id)))
      END AS version
    FROM
      groups
      JOIN chain c ON c.reader = groups.key AND c.height = 0
      LEFT JOIN stamps s ON s.reader = groups.key
    GROUP BY
      c.key, c.inserted_at, groups.gated
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
      d.reader, d.id, NULL::bigint AS parent, m.name, 0 AS depth
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
      upstream.reader, m.id, m.group_key, m.name, upstream.depth + 1
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
      chain.reader, chain.key, NULL, '', 'context', chain.context::text, -1 - chain.height
    FROM
      chain
      JOIN news ON news.key = chain.reader
    WHERE
      chain.context IS NOT NULL
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
      u.reader, u.id, u.parent, u.name, 'job', j.meta ->> 'return', u.depth
    FROM
      upstream u
      CROSS JOIN LATERAL (
        SELECT * FROM oban_jobs j WHERE j.id = u.id OFFSET 0
      ) j
    WHERE
      u.id > 0
      AND (j.state = 'completed') IS TRUE
      AND j.meta -> 'recorded' = 'true'
  )
  SELECT
    reader, id, parent, name, kind, value
  FROM
    sources
  ORDER BY
    position, abs(id);
END;
$$;
