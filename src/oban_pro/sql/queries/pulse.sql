-- Which node leads or was the last to do so, for how many seconds its lease has been over (negative while it leads), and
-- how many seconds ago a node last looked for dead ones. NULL if no node has ever led, or looked.
SELECT
  l.node,
  extract(epoch FROM timezone('UTC', now()) - l.expires_at)::double precision AS overdue,
  (
    SELECT
      extract(epoch FROM timezone('UTC', now()) - max(heard_until))::double precision
    FROM
      /* TEMPLATE: schema */oban_workflow_hearing
  ) AS unheard
FROM
  (VALUES (1)) AS one (row)
  LEFT JOIN LATERAL (
    SELECT
      node, expires_at
    FROM
      /* TEMPLATE: schema */oban_leaders
    ORDER BY
      expires_at DESC
    LIMIT 1
  ) l ON true
