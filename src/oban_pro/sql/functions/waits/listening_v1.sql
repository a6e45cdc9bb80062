-- Members that listen for signals at a path of a workflow: open waits, also those in a group; a job that is parked in a
-- call. The columns are those of oban_workflow_waiting_v1.
--
-- Called by: run_workflow, in tests. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_listening_v1(p_id text, p_path text)
RETURNS TABLE (
  id bigint,
  kind text,
  since timestamp,
  until timestamp,
  wanted integer,
  came integer,
  senders text[],
  choices text[],
  call text
)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH found AS (
    SELECT
      oban_workflow_find_member_v1(g.key, p_path) AS id
    FROM
      oban_workflow_groups g
    WHERE
      g.id = p_id
  ),
  members AS (
    SELECT
      w.id
    FROM
      found
      CROSS JOIN LATERAL oban_workflow_waits_in(found.id) w
    WHERE
      w.is_open
    UNION
    SELECT
      id
    FROM
      found
    WHERE
      id > 0
  )
  SELECT
    members.id, f.kind, f.since, f.until, f.wanted, f.came, f.senders, f.choices, f.call
  FROM
    members
    CROSS JOIN LATERAL oban_workflow_waiting_v1(members.id) f
  WHERE
    f.kind IS NOT NULL
  ORDER BY
    members.id
$$;
