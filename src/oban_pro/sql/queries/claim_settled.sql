-- Claim root workflows that have settled and were not announced yet: each goes to one caller. How many jobs there are in
-- each state, and when the first one started and the last one ended, come with it, nested workflows included.
UPDATE
  /* TEMPLATE: schema */oban_workflow_groups g
SET
  announced = true
WHERE
  -- an array leaves the primary key as the only way; IN (SELECT …) may read all groups
  g.key = ANY((SELECT /* TEMPLATE: schema */oban_workflow_unannounced_roots_v1())::bigint[])
RETURNING
  g.id,
  g.name,
  g.state,
  -- nothing is looked up for a workflow without nested ones
  CASE WHEN g.subs = 0 THEN ARRAY[g.completed - COALESCE(g.skipped, 0), g.cancelled, g.discarded, COALESCE(g.skipped, 0)] ELSE (
    SELECT
      ARRAY[
        sum(n.completed - COALESCE(n.skipped, 0)), sum(n.cancelled), sum(n.discarded), sum(COALESCE(n.skipped, 0))
      ]::integer[]
    FROM
      /* TEMPLATE: schema */oban_workflow_groups n
    WHERE
      n.root = g.key
  ) END AS counts,
  -- infinite moments cannot be subtracted from each other before 17, their epochs can
  CASE WHEN g.subs = 0 THEN extract(epoch FROM g.stopped_at) - extract(epoch FROM g.started_at) ELSE (
    SELECT
      extract(epoch FROM max(n.stopped_at)) - extract(epoch FROM min(n.started_at))
    FROM
      /* TEMPLATE: schema */oban_workflow_groups n
    WHERE
      n.root = g.key
  ) END::double precision AS seconds
