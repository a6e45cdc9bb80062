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
-- see PLANS.md. Most jobs of a fan-out depend on nothing but what the caller knows. For those it ends early.
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
DECLARE
  v_readers bigint[];
  v_keys bigint[];
  v_gated boolean[];
  v_groups record;
  v_direct record;
  v_shared record;
  v_news bigint[];
BEGIN
  SELECT
    array_agg(m.id), array_agg(m.group_key), array_agg(m.gated)
  INTO
    v_readers, v_keys, v_gated
  FROM
    oban_workflow_members m
  WHERE
    m.id = ANY(p_jobs);

  SELECT
    array_agg(g.key) AS keys,
    array_agg(g.gated) AS gated,
    COALESCE(array_agg(g.key) FILTER (WHERE g.gated), '{}') AS with_gate
  INTO
    v_groups
  FROM
    (SELECT r.key, bool_or(r.gated) AS gated FROM unnest(v_keys, v_gated) AS r(key, gated) GROUP BY r.key) g;

  SELECT
    array_agg(d.reader) AS readers,
    array_agg(d.id) AS ids,
    array_agg(d.reader) FILTER (WHERE d.reader < 0) AS gates,
    array_agg(d.id) FILTER (WHERE d.reader < 0) AS behind_gates,
    bool_or(d.reader > 0) AS has_own
  INTO
    v_direct
  FROM
    oban_workflow_context_sources(p_jobs, v_groups.with_gate) d;

  SELECT
    array_agg(v.key) AS keys, array_agg(v.version) AS versions
  INTO
    v_shared
  FROM
    oban_workflow_context_versions(v_groups.keys, v_groups.gated, v_direct.gates, v_direct.behind_gates) v;

  v_news := ARRAY(
    SELECT
      s.key
    FROM
      unnest(v_shared.keys, v_shared.versions) AS s(key, version)
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
  );

  RETURN QUERY
  SELECT
    r.id, r.key, NULL::bigint, '', 'reader', CASE WHEN r.gated THEN 'gated' END
  FROM
    unnest(v_readers, v_keys, v_gated) AS r(id, key, gated)
  UNION ALL
  SELECT
    s.key, s.key, NULL, '', 'shared', s.version
  FROM
    unnest(v_shared.keys, v_shared.versions) AS s(key, version);

  IF v_news = '{}' AND v_direct.has_own IS NOT TRUE THEN
    RETURN;
  END IF;

  RETURN QUERY
  SELECT
    *
  FROM
    oban_workflow_context_values(v_news, v_direct.readers, v_direct.ids);
END;
$$;
