-- Root workflows in the order of their insertion or of their end, in either direction, a page at a time, each page beginning
-- after the last row of the one before. What no index has is asked of a limited number of rows: the last one of these is in
-- the result even if it is not found. The planner knows the values, so that an index gives the order.
SELECT
  c.id,
  c.name,
  CASE WHEN /* TEMPLATE: schema */oban_workflow_is_free_v1(c.key) THEN 'unknown' ELSE c.state END AS state,
  c.inserted_at,
  c.is_queued,
  COALESCE((SELECT true FROM /* TEMPLATE: schema */oban_workflow_pauses p WHERE p.target = c.key), false) AS is_paused,
  c.moment,
  c.key,
  c.number,
  c.is_found
FROM
  (
    SELECT
      ordered.*,
      row_number() OVER () AS number,
      (%(states)s::text[] IS NULL OR ordered.state = ANY(%(states)s::text[]))
      AND (
        %(search)s::text IS NULL
        OR strpos(lower(ordered.name), lower(%(search)s::text)) > 0
        OR strpos(lower(ordered.id), lower(%(search)s::text)) > 0
      ) IS TRUE AS is_found
    FROM
      (
        SELECT
          g.key,
          g.id,
          g.name,
          g.state,
          g.inserted_at,
          g.state = 'executing' AND g.queued_at IS NOT NULL AS is_queued,
          CASE WHEN %(ended)s THEN g.settled_at ELSE g.inserted_at END AS moment
        FROM
          /* TEMPLATE: schema */oban_workflow_groups g
        WHERE
          g.parent IS NULL
          AND (NOT %(ended)s OR g.settled_at IS NOT NULL)
          AND (%(state)s::text IS NULL OR g.state = %(state)s)
          AND (%(attributes)s::jsonb IS NULL OR g.attributes @> %(attributes)s::jsonb)
          AND (%(since)s::timestamptz IS NULL OR g.inserted_at >= timezone('UTC', %(since)s::timestamptz))
          AND (%(until)s::timestamptz IS NULL OR g.inserted_at < timezone('UTC', %(until)s::timestamptz))
          AND CASE
            WHEN %(after)s::timestamptz IS NULL THEN true
            WHEN %(ascending)s THEN
              CASE WHEN %(ended)s THEN g.settled_at ELSE g.inserted_at END >= timezone('UTC', %(after)s::timestamptz)
            ELSE CASE WHEN %(ended)s THEN g.settled_at ELSE g.inserted_at END <= timezone('UTC', %(after)s::timestamptz)
          END
          AND (
            %(after)s::timestamptz IS NULL
            OR CASE WHEN %(ended)s THEN g.settled_at ELSE g.inserted_at END <> timezone('UTC', %(after)s::timestamptz)
            OR CASE WHEN %(ascending)s THEN g.key < %(key)s::bigint ELSE g.key > %(key)s::bigint END
          )
        ORDER BY
          CASE WHEN NOT %(ascending)s THEN CASE WHEN %(ended)s THEN g.settled_at ELSE g.inserted_at END END DESC,
          CASE WHEN %(ascending)s THEN CASE WHEN %(ended)s THEN g.settled_at ELSE g.inserted_at END END,
          CASE WHEN NOT %(ascending)s THEN g.key END,
          CASE WHEN %(ascending)s THEN g.key END DESC
        LIMIT
          %(looked_at)s
      ) ordered
  ) c
WHERE
  c.is_found
  OR c.number = %(looked_at)s
ORDER BY
  c.number
LIMIT
  %(limit)s
