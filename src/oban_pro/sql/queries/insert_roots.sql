-- Insert root workflows, except those whose id is taken; returns the keys of the ones inserted. Two
-- transactions that enqueue the same id wait for each other here; both insert in the order of the ids.
INSERT INTO /* TEMPLATE: schema */oban_workflow_groups (
  key, id, root, name, context, total, suspended, completed, subs, subs_completed, defaults, attributes, store
) OVERRIDING SYSTEM VALUE
SELECT
  g.key, g.id, g.key, g.name, g.context, g.total, g.suspended, g.completed, g.subs, g.subs_completed, g.defaults,
  g.attributes, g.store
FROM
  json_to_recordset(%(groups)s::json) AS g(
    key bigint,
    id text,
    name text,
    context jsonb,
    total integer,
    suspended integer,
    completed integer,
    subs integer,
    subs_completed integer,
    defaults jsonb,
    attributes jsonb,
    store text
  )
ORDER BY
  g.id
ON CONFLICT ON CONSTRAINT oban_workflow_groups_id_key DO NOTHING
RETURNING
  key
