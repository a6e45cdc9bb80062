-- Producers that are silent, and for how many seconds each may be.
--
-- A heartbeat that is recent enough by the clock needs no closer look. That is nearly always true of all producers.
--
-- Called by: oban_workflow_silent_jobs_v1, which says what silent means, and oban_workflow_hear. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_silent_producers(p_patience double precision)
RETURNS TABLE (uuid text, patience double precision)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  WITH seen AS (
    SELECT
      k.uuid, k.patience, COALESCE(p.updated_at, k.left_at) AS seen_at, timezone('UTC', now()) AS now
    FROM
      oban_workflow_producers k
      LEFT JOIN oban_producers p ON p.uuid = k.uuid
  ),
  late AS MATERIALIZED (
    SELECT
      s.*, oban_workflow_heard_since(s.seen_at) AS heard
    FROM
      seen s
    WHERE
      s.seen_at NOT BETWEEN s.now - make_interval(secs => COALESCE(s.patience, p_patience)) AND s.now
  ),
  judged AS (
    SELECT
      l.uuid,
      l.heard,
      COALESCE(
        l.patience,
        -- infinite moments cannot be subtracted from each other before 17, their epochs can
        p_patience + LEAST(150, GREATEST(0, (extract(epoch FROM l.now) - extract(epoch FROM l.seen_at))::double precision - l.heard))
      ) AS patience
    FROM
      late l
  )
  SELECT
    j.uuid::text, j.patience
  FROM
    judged j
  WHERE
    j.heard > j.patience
$$;
