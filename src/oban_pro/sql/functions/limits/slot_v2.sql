-- What a job waits for that has no slot in its fan-out: its number in the line, how many members are open, and how many may
-- be; where it has a rate, how many were released in the period that goes on, how many may be, and when it ends. Nothing
-- for a job that does not wait for a slot.
--
-- Called by: the query that explains a job, in workflows with limits. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_slot_v2(p_id bigint)
RETURNS TABLE (
  place integer,
  open integer,
  max_open integer,
  released integer,
  allowed integer,
  until timestamp
)
LANGUAGE sql
STABLE
ROWS 1
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    line.place,
    f.open,
    g.max_open,
    f.released,
    g.rate_allowed,
    CASE WHEN f.released > 0 THEN g.window_from + make_interval(secs => g.rate_period) END
  FROM
    oban_workflow_limiters(ARRAY(SELECT group_key FROM oban_workflow_members WHERE id = p_id)) l
    CROSS JOIN LATERAL (
      SELECT
        count(*)::int AS place, max(w.id) AS last
      FROM
        oban_workflow_waiting_in_line(l.limiter, 0, NULL) AS w(id)
      WHERE
        w.id <= p_id
    ) line
    CROSS JOIN LATERAL oban_workflow_count_free_slots(l.limiter, timezone('UTC', clock_timestamp())::timestamp) f
    CROSS JOIN LATERAL (SELECT * FROM oban_workflow_groups WHERE key = l.limiter OFFSET 0) g
  WHERE
    line.last = p_id
$$;
