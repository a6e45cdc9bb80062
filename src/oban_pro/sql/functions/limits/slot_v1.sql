-- What a job waits for that has no slot in its fan-out: its number in the line, how many members are open, and how many may
-- be. Nothing for a job that does not wait for a slot.
--
-- Called by: nodes with an older release; see oban_workflow_slot_v2. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_slot_v1(p_id bigint)
RETURNS TABLE (place integer, open integer, max_open integer)
LANGUAGE sql
STABLE
ROWS 1
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    line.place, f.open, f.open + f.free
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
  WHERE
    line.last = p_id
$$;
