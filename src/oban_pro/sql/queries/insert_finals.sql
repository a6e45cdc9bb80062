-- Insert the final jobs of workflows that were just inserted, and what is kept about these workflows. A final job may be
-- cancelled already, because a dependency of its workflow had broken; it is counted as cancelled.
WITH finals AS (
  INSERT INTO /* TEMPLATE: schema */oban_workflow_finals (
    id, group_key, runs_on
  )
  SELECT
    f.id, f.group_key, f.runs_on
  FROM
    json_to_recordset(%(finals)s::json) AS f(id bigint, group_key bigint, runs_on text)
  RETURNING
    id, group_key
)
INSERT INTO /* TEMPLATE: schema */oban_workflow_ends (
  group_key, root, finals, completed, cancelled, discarded, opened
)
SELECT
  f.group_key,
  %(root)s,
  count(*),
  0,
  count(*) FILTER (WHERE j.state = 'cancelled'),
  0,
  NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = f.group_key AND pending > 0)
    AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = %(root)s AND queued_at IS NOT NULL)
FROM
  finals f
  CROSS JOIN LATERAL (SELECT state FROM /* TEMPLATE: schema */oban_jobs WHERE id = f.id OFFSET 0) j
GROUP BY
  f.group_key
