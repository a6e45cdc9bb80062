-- Insert the undos of jobs that were just inserted, and what is kept about the workflows around these jobs. A fan-out is no
-- workflow of its own here, nor is the graft of a mapped fan-out: the one around it undoes their jobs. Returns the ids of
-- workflows in which another member is called "undo", as the graft that undoes a workflow will be.
WITH RECURSIVE given AS MATERIALIZED (
  SELECT
    u.id, u.group_key, u.spec
  FROM
    json_to_recordset(%(undos)s::json) AS u(id bigint, group_key bigint, spec jsonb)
),
around AS (
  SELECT DISTINCT
    group_key AS start, group_key AS key, 0 AS height
  FROM
    given
  UNION ALL
  SELECT
    around.start, g.parent, around.height + 1
  FROM
    around
    CROSS JOIN LATERAL (
      SELECT parent FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = around.key AND parent IS NOT NULL OFFSET 0
    ) g
),
workflows AS MATERIALIZED (
  SELECT
    around.start, around.key, around.height, g.id
  FROM
    around
    CROSS JOIN LATERAL (
      SELECT id, parent FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = around.key AND kind IN ('workflow', 'sub') OFFSET 0
    ) g
    LEFT JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = g.parent AND name = 'grafter' OFFSET 0
    ) grafter ON true
    LEFT JOIN LATERAL (SELECT worker FROM /* TEMPLATE: schema */oban_jobs WHERE id = grafter.id OFFSET 0) j ON true
  WHERE
    j.worker IS DISTINCT FROM 'oban_pro.workers.Mapper'
),
undos AS (
  INSERT INTO /* TEMPLATE: schema */oban_workflow_undos (id, group_key, spec)
  SELECT
    given.id, w.key, given.spec
  FROM
    given
    JOIN (SELECT DISTINCT ON (start) start, key FROM workflows ORDER BY start, height) w ON w.start = given.group_key
),
ends AS (
  INSERT INTO /* TEMPLATE: schema */oban_workflow_ends (
    group_key, root, finals, completed, cancelled, discarded, opened
  )
  SELECT
    w.key,
    %(root)s,
    0,
    0,
    0,
    0,
    NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = w.key AND pending > 0)
      AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = %(root)s AND queued_at IS NOT NULL)
  FROM
    (SELECT DISTINCT key FROM workflows) w
  ON CONFLICT ON CONSTRAINT oban_workflow_ends_pkey DO NOTHING
)
SELECT
  w.id
FROM
  (SELECT DISTINCT key, id FROM workflows) w
  CROSS JOIN LATERAL (SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = w.key AND name = 'undo' OFFSET 0) m
  LEFT JOIN LATERAL (SELECT undo FROM /* TEMPLATE: schema */oban_workflow_ends WHERE group_key = w.key OFFSET 0) e ON true
WHERE
  m.id IS DISTINCT FROM e.undo
ORDER BY
  w.id
