-- The pause that a member is under: since when, by whom, until when, and the path of what is paused, which is empty for
-- the root. Of several the outermost counts. All are NULL if there is none.
--
-- p_id is a job, or the key of a group.
--
-- Called by: the query that explains a member, in workflows with pauses. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_pause_around_v1(
  p_id bigint,
  OUT paused_at timestamp,
  OUT paused_by text,
  OUT until timestamp,
  OUT path text[],
  OUT kind text
)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    p.paused_at, p.paused_by, t.due, COALESCE(oban_workflow_path_v1(p.target), '{}'), COALESCE(g.kind, 'job')
  FROM
    oban_workflow_around_v1(p_id) around
    CROSS JOIN LATERAL (SELECT * FROM oban_workflow_pauses WHERE target = around.id OFFSET 0) p
    LEFT JOIN LATERAL (SELECT kind FROM oban_workflow_groups WHERE key = p.target OFFSET 0) g ON true
    LEFT JOIN LATERAL (SELECT due FROM oban_workflow_timers WHERE target = p.target AND oban_workflow_timers.kind = 'pause' OFFSET 0) t ON true
  ORDER BY
    around.distance DESC
  LIMIT
    1
$$;
