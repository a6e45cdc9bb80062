-- Suspended jobs that nothing would ever move: nothing is pending for them, or a dependency broke and they were not
-- cancelled. For the latter it returns what broke them. Jobs that somebody made wait for something broken are left out:
-- they wait on purpose.
--
-- Called by: oban_workflow_audit_v1, oban_workflow_repair_v1. Locks nothing.
-- One root and all of them need plans of their own.
CREATE OR REPLACE FUNCTION oban_workflow_stuck_jobs(p_root bigint)
RETURNS TABLE (id bigint, upstream bigint, cause text)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE behind AS MATERIALIZED (
    SELECT
      b.id
    FROM
      oban_workflow_behind_unended(
        ARRAY(SELECT DISTINCT u.root FROM oban_workflow_unended u WHERE u.root IS NOT NULL AND (p_root IS NULL OR u.root = p_root))
      ) AS b(id)
  ),
  paused AS MATERIALIZED (
    SELECT
      p.id
    FROM
      oban_workflow_jobs_in(
        ARRAY(SELECT target FROM oban_workflow_pauses WHERE p_root IS NULL OR root = p_root)
      ) p
  ),
  lines AS MATERIALIZED (
    SELECT
      l.key, l.judge, g.next_waiting, g.last_waiting
    FROM
      oban_workflow_limiters(
        ARRAY(
          SELECT
            g.key
          FROM
            oban_workflow_groups g
            JOIN oban_workflow_groups r ON r.key = g.root
          WHERE
            r.rules & 32 > 0
            AND (p_root IS NULL OR g.root = p_root)
        )
      ) l
      JOIN oban_workflow_groups g ON g.key = l.limiter
    WHERE
      g.next_waiting IS NOT NULL
      AND (
        (SELECT f.free <= 0 FROM oban_workflow_count_free_slots(g.key, timezone('UTC', now())) f)
        OR EXISTS (SELECT FROM oban_workflow_timers t WHERE t.target = g.key AND t.kind = 'window')
      )
  ),
  waiting AS (
    SELECT
      m.*,
      m.pending <= 0
        AND (NOT m.gated OR gate.pending <= 0)
        AND NOT EXISTS (SELECT FROM oban_workflow_unended e WHERE e.id = m.id)
        AND NOT EXISTS (
          SELECT FROM oban_workflow_undos o JOIN oban_workflow_unended e ON e.id = o.undo_id WHERE o.id = m.id
        )
        AND NOT EXISTS (SELECT FROM oban_workflow_waits w WHERE w.id = m.id AND w.is_open)
        AND m.id NOT IN (SELECT b.id FROM behind b)
        AND m.id NOT IN (SELECT p.id FROM paused p)
        AND (SELECT r.queued_at FROM oban_workflow_groups r WHERE r.key = g.root) IS NULL
        AND NOT EXISTS (
          SELECT
          FROM
            lines l
          WHERE
            l.key = g.key
            AND m.id BETWEEN l.next_waiting AND l.last_waiting
            AND m.id IS DISTINCT FROM l.judge
        ) AS is_ready
    FROM
      oban_workflow_groups g
      JOIN oban_workflow_members m ON m.group_key = g.key
      JOIN oban_jobs j ON j.id = m.id
      LEFT JOIN oban_workflow_members gate ON gate.id = g.key
    WHERE
      (p_root IS NULL OR g.root = p_root)
      AND j.state = 'suspended'
  ),
  -- where each waits: at its own edges, or at those of the groups around it
  gates AS (
    SELECT
      w.id AS job,
      w.id,
      w.group_key,
      w.gated OR oban_workflow_is_gated_final(w.id) AS gated,
      w.ignore_cancelled,
      w.ignore_discarded
    FROM
      waiting w
    WHERE
      NOT w.is_ready
    UNION ALL
    SELECT
      gates.job, m.id, m.group_key, m.gated, m.ignore_cancelled, m.ignore_discarded
    FROM
      gates
      JOIN oban_workflow_members m ON m.id = gates.group_key
    WHERE
      gates.gated
  ),
  causes AS (
    SELECT DISTINCT ON (gate.id)
      gate.id,
      u.id AS upstream,
      concat(
        oban_workflow_member_label_v1(u.id),
        ' was ',
        COALESCE(j.state::text, g.state, u.gone),
        oban_workflow_join_note(jn.need, jn.deps, jn.skipped, jn.broken)
      ) AS cause
    FROM
      (SELECT DISTINCT id, ignore_cancelled, ignore_discarded FROM gates) gate
      JOIN oban_workflow_edges e ON e.downstream = gate.id
      JOIN oban_workflow_members u ON u.id = e.upstream
      LEFT JOIN oban_workflow_groups g ON g.key = u.id
      LEFT JOIN oban_jobs j ON j.id = u.id
      LEFT JOIN oban_workflow_joins jn ON jn.id = gate.id
    WHERE
      e.on_purpose IS NULL
      AND (jn.broken <= GREATEST(jn.deps - jn.skipped - jn.need, 0)) IS NOT TRUE
      AND oban_workflow_breaks_v1(
        COALESCE(j.state::text, g.state, u.gone), gate.ignore_cancelled, gate.ignore_discarded
      )
    ORDER BY
      gate.id, u.id
  )
  SELECT
    w.id, NULL::bigint, NULL
  FROM
    waiting w
  WHERE
    w.is_ready
  UNION ALL
  (
    SELECT DISTINCT ON (gates.job)
      gates.job, causes.upstream, causes.cause
    FROM
      gates
      JOIN causes ON causes.id = gates.id
    ORDER BY
      gates.job, causes.cause
  );
END;
$$;
