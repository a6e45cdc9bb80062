-- Insert the jobs and nested groups of workflows as members. Flags are bits: 1 gated, 2 ignore_cancelled,
-- 4 ignore_discarded.
INSERT INTO /* TEMPLATE: schema */oban_workflow_members (
  id, group_key, name, pending, gated, ignore_cancelled, ignore_discarded
)
SELECT
  r.id, r.group_key, r.name, r.pending, r.flags & 1 > 0, r.flags & 2 > 0, r.flags & 4 > 0
FROM
  ROWS FROM (
    unnest(%(ids)s::bigint[]),
    unnest(%(group_keys)s::bigint[]),
    jsonb_array_elements_text(%(names)s::jsonb),
    unnest(%(pendings)s::integer[]),
    unnest(%(flags)s::integer[])
  ) AS r(id, group_key, name, pending, flags)
