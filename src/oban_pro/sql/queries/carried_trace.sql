-- The trace that the jobs of a workflow carry, read off one of them; no row if nobody traced its enqueueing.
SELECT
  j.meta ->> 'traceparent', j.meta ->> 'tracestate'
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
  CROSS JOIN LATERAL (
    SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = g.key AND id > 0 LIMIT 1
  ) m
  CROSS JOIN LATERAL (SELECT meta FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0) j
WHERE
  g.root = %(root)s
LIMIT 1
