-- Versions of what the jobs of each group share: the contexts of their workflows, and if p_gated what the group depends
-- on. The version of the latter is NULL while another group that this group depends on is open.
--
-- p_keys are groups; p_readers and p_deps what they depend on, a pair each.
--
-- Called by: oban_workflow_contexts_v3, whose settings of the planner it runs with. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_context_versions(
  p_keys bigint[],
  p_gated boolean[],
  p_readers bigint[],
  p_deps bigint[],
  OUT key bigint,
  OUT contexts_version text,
  OUT gate_version text
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH stamps AS MATERIALIZED (
    SELECT
      d.reader,
      d.id,
      CASE
        WHEN d.id > 0 THEN concat(j.state, ' ', GREATEST(j.completed_at, j.cancelled_at, j.discarded_at))
        WHEN g.state <> 'executing' THEN concat(g.stopped_at)
      END AS stamp
    FROM
      unnest(p_readers, p_deps) AS d(reader, id)
      LEFT JOIN LATERAL (
        SELECT state, stopped_at FROM oban_workflow_groups WHERE key = d.id AND d.id < 0 OFFSET 0
      ) g ON true
      LEFT JOIN LATERAL (
        SELECT state, completed_at, cancelled_at, discarded_at FROM oban_jobs WHERE id = d.id AND d.id > 0 OFFSET 0
      ) j ON true
  )
  SELECT
    k.key,
    -- contexts never change; but ids and keys come again where tables are emptied, and then at another time
    concat(g.inserted_at),
    CASE
      WHEN k.gated AND count(s.id) = count(s.stamp) THEN
        md5(concat(g.inserted_at, ' ', string_agg(concat(s.id, ' ', s.stamp), ',' ORDER BY s.id)))
    END
  FROM
    unnest(p_keys, p_gated) AS k(key, gated)
    CROSS JOIN LATERAL (SELECT inserted_at FROM oban_workflow_groups WHERE key = k.key OFFSET 0) g
    LEFT JOIN stamps s ON s.reader = k.key
  GROUP BY
    k.key, k.gated, g.inserted_at;
END;
$$;
