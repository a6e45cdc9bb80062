-- What some readers depend on, with all that is in the groups among it. A reader is a job, or a group with a gate; of groups
-- only those among p_gates are read. Each row has its distance from the dependency that it belongs to.
--
-- p_readers and p_deps say what depends on what, a pair each. p_jobs and p_places say in which group each job is: a job in a
-- fan-out may depend on a job of another fan-out, and finds it below the name of that, without the other jobs there.
--
-- Called by: oban_workflow_context_values, whose settings of the planner it runs with. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_context_upstream(
  p_gates bigint[],
  p_readers bigint[],
  p_deps bigint[],
  p_jobs bigint[],
  p_places bigint[],
  OUT reader bigint,
  OUT id bigint,
  OUT parent bigint,
  OUT name text,
  OUT gone text,
  OUT depth integer
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE gates AS MATERIALIZED (
    SELECT unnest(p_gates) AS key
  ),
  upstream AS (
    SELECT
      d.reader, d.id, beside.key AS parent, m.name, m.gone, 0 AS depth
    FROM
      unnest(p_readers, p_deps) AS d(reader, id)
      LEFT JOIN unnest(p_jobs, p_places) AS r(id, place) ON r.id = d.reader
      CROSS JOIN LATERAL (
        SELECT * FROM oban_workflow_members m WHERE m.id = d.id OFFSET 0
      ) m
      LEFT JOIN LATERAL (
        SELECT
          key
        FROM
          oban_workflow_groups
        WHERE
          m.id > 0
          AND m.group_key <> r.place
          AND key = m.group_key
          AND kind = 'fan_out'
        OFFSET
          0
      ) beside ON true
    WHERE
      d.reader > 0
      OR d.reader IN (SELECT key FROM gates)
    UNION ALL
    SELECT
      upstream.reader, m.id, m.group_key, m.name, m.gone, upstream.depth + 1
    FROM
      upstream
      CROSS JOIN LATERAL (
        SELECT * FROM oban_workflow_members m WHERE m.group_key = upstream.id OFFSET 0
      ) m
    WHERE
      upstream.id < 0
  )
  SELECT
    *
  FROM
    upstream
  UNION ALL
  SELECT
    beside.reader, beside.id, NULL, m.name, NULL, 0
  FROM
    (SELECT DISTINCT u.reader, u.parent AS id FROM upstream u WHERE u.depth = 0 AND u.parent IS NOT NULL) beside
    CROSS JOIN LATERAL (SELECT name FROM oban_workflow_members WHERE id = beside.id OFFSET 0) m;
END;
$$;
