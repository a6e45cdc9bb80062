-- Note on edges that suspended jobs wait on purpose for something broken: edges to the jobs themselves, or to the
-- groups whose gates they wait for. p_rules are the rare rules of the roots.
--
-- Called by: oban_workflow_apply_changes, with jobs that were made to wait just now. oban_workflow_reopen takes the note
-- back when the upstream is retried.
-- Locks: rows of oban_workflow_edges; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_wait_on_purpose(p_ids bigint[], p_rules smallint)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH RECURSIVE gates AS (
    SELECT
      m.id,
      m.group_key,
      m.gated OR p_rules & 16 > 0 AND oban_workflow_is_gated_final(m.id) AS gated,
      m.ignore_cancelled,
      m.ignore_discarded
    FROM
      unnest(p_ids) AS u(id)
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = u.id OFFSET 0) m
      CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = u.id OFFSET 0) j
    WHERE
      j.state = 'suspended'
    UNION
    SELECT
      m.id, m.group_key, m.gated, m.ignore_cancelled, m.ignore_discarded
    FROM
      gates
      CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = gates.group_key OFFSET 0) m
    WHERE
      gates.gated
  ),
  broken AS (
    SELECT
      e.upstream, gates.id AS downstream
    FROM
      gates
      CROSS JOIN LATERAL (SELECT upstream FROM oban_workflow_edges WHERE downstream = gates.id OFFSET 0) e
      CROSS JOIN LATERAL (SELECT gone FROM oban_workflow_members WHERE id = e.upstream OFFSET 0) u
      LEFT JOIN LATERAL (SELECT state FROM oban_workflow_groups WHERE key = e.upstream OFFSET 0) g ON true
      LEFT JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = e.upstream OFFSET 0) j ON true
    WHERE
      oban_workflow_breaks_v1(
        COALESCE(j.state::text, g.state, u.gone), gates.ignore_cancelled, gates.ignore_discarded
      )
  )
  UPDATE
    oban_workflow_edges e
  SET
    on_purpose = true
  FROM
    broken b
  WHERE
    -- ANY: see PLANS.md
    e.upstream = ANY(ARRAY[b.upstream])
    AND e.downstream = b.downstream
    AND e.on_purpose IS NULL;
END;
$$;
