-- How many members of some groups are not drawn: those before the first member that is drawn, in order, and those after it.
-- Groups come before jobs.
SELECT
  m.group_key,
  count(*) FILTER (WHERE (m.id > 0, abs(m.id)) < (f.id > 0, abs(f.id)))::int AS before,
  count(*) FILTER (WHERE (m.id > 0, abs(m.id)) > (f.id > 0, abs(f.id)))::int AS after
FROM
  unnest(%(groups)s::bigint[], %(firsts)s::bigint[]) f(group_key, id)
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = f.group_key
WHERE
  m.id <> ALL(%(drawn)s::bigint[])
GROUP BY
  m.group_key
