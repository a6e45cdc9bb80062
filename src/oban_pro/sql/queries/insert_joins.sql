-- Insert joins: members that need only some of their dependencies, and how many.
INSERT INTO /* TEMPLATE: schema */oban_workflow_joins (
  id, need, deps, skipped, broken
)
SELECT
  j.id, j.need, j.deps, j.skipped, j.broken
FROM
  json_to_recordset(%(joins)s::json) AS j(
    id bigint,
    need integer,
    deps integer,
    skipped integer,
    broken integer
  )
