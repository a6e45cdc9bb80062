-- Lock jobs, and the roots of the workflows that they belong to. Jobs are passed over if somebody else holds them or their
-- root; returns these. A job whose row is gone is not among them.
--
-- Called by: oban_workflow_ack_v1, oban_workflow_requeue_lost_v1.
-- Locks: the roots, ascending, then the jobs, ascending; never waits for one.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_unheld(p_jobs bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_members bigint[];
  v_roots bigint[];
  v_locked bigint[];
  v_held bigint[];
  v_free bigint[];
BEGIN
  SELECT
    array_agg(j.id), array_agg(g.root)
  INTO
    v_members, v_roots
  FROM
    unnest(p_jobs) AS j(id)
    CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = j.id OFFSET 0) m
    CROSS JOIN LATERAL (SELECT root FROM oban_workflow_groups WHERE key = m.group_key OFFSET 0) g;

  v_locked := ARRAY(
    SELECT
      key
    FROM
      oban_workflow_groups
    WHERE
      key = ANY(ARRAY(SELECT DISTINCT r.root FROM unnest(v_roots) AS r(root)))
    ORDER BY
      key
    FOR NO KEY UPDATE SKIP LOCKED
  );
  v_held := ARRAY(
    SELECT
      m.id
    FROM
      unnest(v_members, v_roots) AS m(id, root)
    WHERE
      m.root NOT IN (SELECT l.key FROM unnest(v_locked) AS l(key))
  );
  v_free := ARRAY(SELECT j.id FROM unnest(p_jobs) AS j(id) EXCEPT SELECT h.id FROM unnest(v_held) AS h(id));
  v_locked := ARRAY(SELECT id FROM oban_jobs WHERE id = ANY(v_free) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);

  RETURN v_held || ARRAY(
    SELECT id FROM oban_jobs WHERE id = ANY(v_free)
    EXCEPT
    SELECT l.id FROM unnest(v_locked) AS l(id)
  );
END;
$$;
