-- Skip the jobs that nothing is pending for and whose dependencies were all skipped: they settle as completed, and
-- their meta says why. Returns the other jobs, which are to be released, and the skipped ones with their states before
-- and after.
--
-- p_ids are jobs, p_now is when they settle.
--
-- Called by: oban_workflow_propagate, whose settings of the planner it runs with, in workflows with conditions.
-- Locks: suspended jobs; the caller holds the root.
-- Called twice: a skipped job is not suspended any more.
CREATE OR REPLACE FUNCTION oban_workflow_skip_ready(
  p_ids bigint[],
  p_now timestamp,
  OUT ready bigint[],
  OUT ids bigint[],
  OUT old text[],
  OUT new text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  WITH jobs AS MATERIALIZED (
    SELECT
      m.id, m.group_key, m.gated
    FROM
      unnest(p_ids) AS r(id)
      CROSS JOIN LATERAL (
        SELECT id, group_key, gated FROM oban_workflow_members WHERE id = r.id AND pending <= 0 OFFSET 0
      ) m
  ),
  -- each gate is looked up once, and may be that of very many jobs
  gates AS (
    SELECT
      g.key
    FROM
      (SELECT DISTINCT group_key FROM jobs WHERE gated) d
      CROSS JOIN LATERAL (SELECT key, skips FROM oban_workflow_groups WHERE key = d.group_key OFFSET 0) g
    WHERE
      g.skips
  ),
  skipping AS (
    SELECT
      jobs.id, jobs.group_key AS cause, true AS is_gate
    FROM
      jobs
    WHERE
      jobs.gated
      AND jobs.group_key IN (SELECT key FROM gates)
    UNION ALL
    SELECT
      s.id, s.cause, false
    FROM
      oban_workflow_all_skipped(ARRAY(SELECT jobs.id FROM jobs WHERE NOT jobs.gated)) s
  ),
  causes AS MATERIALIZED (
    SELECT
      c.cause,
      c.is_gate,
      CASE WHEN c.is_gate THEN 'its ' ELSE 'upstream ' END || oban_workflow_member_label_v1(c.cause) || ' was skipped' AS reason
    FROM
      (SELECT DISTINCT cause, is_gate FROM skipping) c
  ),
  skipped AS (
    UPDATE
      oban_jobs j
    SET
      state = 'completed',
      completed_at = p_now,
      -- tells it from a job that ran
      attempt = 0,
      meta = j.meta || jsonb_build_object('skipped', causes.reason)
    FROM
      skipping s
      JOIN causes ON causes.cause = s.cause AND causes.is_gate = s.is_gate
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[s.id])
      AND (j.state = 'suspended') IS TRUE
    RETURNING
      j.id
  )
  SELECT
    COALESCE(array_agg(s.id), '{}')
  INTO
    ids
  FROM
    skipped s;

  old := array_fill('suspended'::text, ARRAY[cardinality(ids)]);
  new := array_fill('skipped'::text, ARRAY[cardinality(ids)]);
  ready := CASE
    WHEN ids = '{}' THEN p_ids
    ELSE ARRAY(SELECT r.id FROM unnest(p_ids) AS r(id) EXCEPT ALL SELECT s.id FROM unnest(ids) AS s(id))
  END;
END;
$$;
