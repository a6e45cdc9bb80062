-- Whether a dependency of a group can no longer be satisfied; if the group is gated, also a dependency of the group
-- around it. A join is broken if too few dependencies are left for what it needs. p_rules are the rare rules of the
-- root.
--
-- Called by: oban_workflow_reopen, for empty groups whose dependency was retried. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_gate_broken(p_group bigint, p_rules smallint)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    COALESCE(
      bool_or(
        COALESCE(
          CASE
            WHEN p_rules & 2 > 0 THEN (
              SELECT j.broken > GREATEST(j.deps - j.skipped - j.need, 0) FROM oban_workflow_joins j WHERE j.id = gates.id
            )
          END,
          EXISTS (
            SELECT
            FROM
              (SELECT upstream FROM oban_workflow_edges WHERE downstream = gates.id OFFSET 0) e
              CROSS JOIN LATERAL (SELECT id, gone FROM oban_workflow_members WHERE id = e.upstream OFFSET 0) u
              LEFT JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = u.id OFFSET 0) j ON true
              LEFT JOIN LATERAL (SELECT state FROM oban_workflow_groups WHERE key = u.id OFFSET 0) g ON true
            WHERE
              oban_workflow_breaks_v1(
                COALESCE(j.state::text, g.state, u.gone), gates.ignore_cancelled, gates.ignore_discarded
              )
          )
        )
      ),
      false
    )
  FROM
    oban_workflow_gates_v1(p_group) AS waiting(id)
    CROSS JOIN LATERAL (SELECT * FROM oban_workflow_members WHERE id = waiting.id OFFSET 0) gates
$$;
