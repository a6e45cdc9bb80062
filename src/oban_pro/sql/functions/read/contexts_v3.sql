-- The data that the contexts of some jobs are built from. Each row is one of four parts, which says what columns it has;
-- all others are NULL.
--
-- | part | columns | tells |
-- |---|---|---|
-- | place | job, group_key, is_gated | the group of a job, and whether the job waits for the gate of that group |
-- | versions | group_key, is_gated, contexts_version, gate_version | the versions of what the jobs of a group share |
-- | context | group_key, context | what was added to the workflow of a group, or to one around it, root first |
-- | source | job or group_key; id, parent, name, kind, value or error | what a job, or the gate of a group, depends on |
--
-- The contexts of a group are left out if the caller knows their version, and the sources of its gate if the caller knows
-- the version of these. If none of the jobs waits for the gate, its sources are left out and gate_version is NULL.
-- gate_version is also NULL while a group that the gate depends on is open, because the sources may change until then.
--
-- A source is a nested workflow, with its kind; or a job: of kind 'batch' if it recorded a dict of results by the names
-- of its items, else 'job'. A job has a value if it recorded one, or its last error if it was cancelled, discarded, or
-- deleted before it settled. Groups come before what is in them.
--
-- p_known are the groups that the caller has read before. For each of them, p_contexts has the version of its contexts
-- that the caller knows, and p_gates the version of the sources of its gate; NULL if the caller does not know it.
--
-- Called by: a node, for jobs that it starts. Locks nothing.
--
-- It reads a few rows by their keys, whatever the size of the tables, and joins what many readers share by hash:
-- see PLANS.md. Most jobs of a fan-out depend on nothing but what the caller knows. For those it ends early.
CREATE OR REPLACE FUNCTION oban_workflow_contexts_v3(
  p_jobs bigint[],
  p_known bigint[],
  p_contexts text[],
  p_gates text[],
  OUT part text,
  OUT job bigint,
  OUT group_key bigint,
  OUT is_gated boolean,
  OUT contexts_version text,
  OUT gate_version text,
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
-- what is looked up needs a nested loop, and has no other way; readers are joined to what they read by hash
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_jobs record;
  v_groups record;
  v_deps record;
  v_shared record;
BEGIN
  SELECT
    array_agg(m.id) AS ids, array_agg(m.group_key) AS keys, array_agg(m.gated) AS gated
  INTO
    v_jobs
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
    (SELECT r.key, bool_or(r.gated) AS gated FROM unnest(v_jobs.keys, v_jobs.gated) AS r(key, gated) GROUP BY r.key) g;

  SELECT
    array_agg(d.reader) AS readers,
    array_agg(d.id) AS ids,
    array_agg(d.reader) FILTER (WHERE d.reader < 0) AS gates,
    array_agg(d.id) FILTER (WHERE d.reader < 0) AS behind_gates,
    COALESCE(bool_or(d.reader > 0), false) AS have_own
  INTO
    v_deps
  FROM
    oban_workflow_context_sources(p_jobs, v_groups.with_gate) d;

  SELECT
    array_agg(v.key) AS keys,
    array_agg(v.key = ANY(v_groups.with_gate)) AS gated,
    array_agg(v.contexts_version) AS contexts,
    array_agg(v.gate_version) AS gates,
    COALESCE(array_agg(v.key) FILTER (WHERE known.contexts IS DISTINCT FROM v.contexts_version), '{}') AS new_contexts,
    COALESCE(
      array_agg(v.key) FILTER (WHERE v.key = ANY(v_groups.with_gate) AND (known.gate = v.gate_version) IS NOT TRUE), '{}'
    ) AS new_gates
  INTO
    v_shared
  FROM
    oban_workflow_context_versions(v_groups.keys, v_groups.gated, v_deps.gates, v_deps.behind_gates) v
    LEFT JOIN unnest(p_known, p_contexts, p_gates) AS known(key, contexts, gate) ON known.key = v.key;

  RETURN QUERY
  SELECT
    'place', r.id, r.key, r.gated, NULL, NULL, NULL, NULL::bigint, NULL::bigint, NULL, NULL, NULL, NULL
  FROM
    unnest(v_jobs.ids, v_jobs.keys, v_jobs.gated) AS r(id, key, gated)
  UNION ALL
  SELECT
    'versions', NULL, s.key, s.gated, s.contexts, s.gate, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM
    unnest(v_shared.keys, v_shared.gated, v_shared.contexts, v_shared.gates) AS s(key, gated, contexts, gate);

  IF v_shared.new_contexts = '{}' AND v_shared.new_gates = '{}' AND NOT v_deps.have_own THEN
    RETURN;
  END IF;

  RETURN QUERY
  SELECT
    v.part, v.job, v.group_key, NULL::boolean, NULL, NULL, v.context, v.id, v.parent, v.name, v.kind, v.value, v.error
  FROM
    oban_workflow_context_values(
      v_shared.new_contexts, v_shared.new_gates, v_deps.readers, v_deps.ids, v_jobs.ids, v_jobs.keys
    ) v;
END;
$$;
