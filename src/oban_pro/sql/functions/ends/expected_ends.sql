-- What is kept about workflows with final jobs, and what it should be by the states as they are stored. Of one root, or of
-- all. Whether a workflow has opened is not recomputed: nothing takes that back.
--
-- Called by: oban_workflow_audit_v1, oban_workflow_repair_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_expected_ends(p_root bigint)
RETURNS TABLE (
  key bigint,
  finals integer,
  completed integer,
  cancelled integer,
  discarded integer,
  opened boolean,
  outcome text
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT
    e.group_key,
    count(f.id)::int,
    (count(*) FILTER (WHERE f.state IN ('completed', 'skipped')))::int,
    (count(*) FILTER (WHERE f.state IN ('cancelled', 'deleted')))::int,
    (count(*) FILTER (WHERE f.state = 'discarded'))::int,
    e.opened OR (
      COALESCE((SELECT m.pending <= 0 FROM oban_workflow_members m WHERE m.id = e.group_key), true)
      AND NOT EXISTS (SELECT FROM oban_workflow_groups r WHERE r.key = e.root AND r.queued_at IS NOT NULL)
    ),
    CASE
      WHEN NOT EXISTS (SELECT FROM oban_workflow_due_undos(ARRAY[e.group_key])) THEN oban_workflow_body_state(e.group_key)
    END
  FROM
    oban_workflow_ends e
    LEFT JOIN LATERAL (
      SELECT
        f.id, COALESCE(j.state::text, m.gone) AS state
      FROM
        oban_workflow_finals f
        LEFT JOIN oban_workflow_members m ON m.id = f.id
        LEFT JOIN oban_jobs j ON j.id = f.id
      WHERE
        f.group_key = e.group_key
    ) f ON true
  WHERE
    p_root IS NULL
    OR e.root = p_root
  GROUP BY
    e.group_key;
END;
$$;
