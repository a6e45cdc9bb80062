-- Decide what becomes of suspended jobs that nothing is pending for, in workflows with rare rules: the one function that
-- stands between "nothing pending" and "released". Returns the jobs that are released now; and those that settle instead,
-- with how.
--
-- Jobs of a workflow that waits in line for its key stay suspended. Jobs stay suspended that wait for the end of an
-- execution, their own or one that they follow; jobs that are paused; and those in a fan-out with a limit that get no slot.
-- Groups among p_ids have lines in which somebody may move up. Waits open, also if they are paused. A job with a delay is
-- put off. Final jobs that shall not run settle.
--
-- Called by: oban_workflow_release.
-- Locks: rows of waits and timers, then the jobs; the caller holds the root.
-- Called twice: a delay counts once.
CREATE OR REPLACE FUNCTION oban_workflow_hold_back(
  p_ids bigint[],
  p_now timestamp,
  p_rules smallint,
  OUT ids bigint[],
  OUT settled bigint[],
  OUT new text[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_waits bigint[];
  v_finals bigint[];
  v_judged text[];
BEGIN
  IF 0 < ANY(p_ids) THEN
    ids := ARRAY(
      SELECT
        m.id
      FROM
        unnest(p_ids) AS r(id)
        CROSS JOIN LATERAL (
          SELECT id, group_key, gated FROM oban_workflow_members WHERE id = r.id AND pending <= 0 OFFSET 0
        ) m
        CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = m.id OFFSET 0) j
      WHERE
        j.state = 'suspended'
        AND (NOT m.gated OR (SELECT pending <= 0 FROM oban_workflow_members WHERE id = m.group_key))
    );
  ELSE
    ids := '{}';
  END IF;

  IF p_rules & 1024 > 0 THEN
    ids := ARRAY(SELECT i.id FROM unnest(ids) AS i(id) EXCEPT SELECT oban_workflow_queued(ids));
  END IF;

  -- an execution that final jobs follow may have been noted in this very transaction
  IF p_rules & 144 > 0 THEN
    ids := ARRAY(SELECT i.id FROM unnest(ids) AS i(id) EXCEPT SELECT oban_workflow_unready(ids));
  END IF;

  IF p_rules & 1 > 0 THEN
    v_waits := ARRAY(SELECT w.id FROM oban_workflow_waits w WHERE w.id = ANY(ids));

    IF v_waits <> '{}' THEN
      ids := ARRAY(SELECT i.id FROM unnest(ids) AS i(id) EXCEPT SELECT w.id FROM unnest(v_waits) AS w(id));

      SELECT o.ids, o.new FROM oban_workflow_open_waits(v_waits, p_now) o INTO settled, new;
    END IF;
  END IF;

  IF p_rules & 16 > 0 THEN
    SELECT f.ids, f.new FROM oban_workflow_judge_finals(ids) f INTO v_finals, v_judged;

    ids := ARRAY(SELECT i.id FROM unnest(ids) AS i(id) EXCEPT SELECT f.id FROM unnest(v_finals) AS f(id));
    settled := settled || v_finals;
    new := new || v_judged;
  END IF;

  IF p_rules & 64 > 0 THEN
    ids := ARRAY(SELECT i.id FROM unnest(ids) AS i(id) EXCEPT SELECT oban_workflow_paused(ids));
  END IF;

  IF p_rules & 32 > 0 THEN
    ids := oban_workflow_take_slots(ids, ARRAY(SELECT r.id FROM unnest(p_ids) AS r(id) WHERE r.id < 0), p_now, p_rules);
  END IF;

  IF p_rules & 8 > 0 THEN
    WITH delays AS (
      DELETE FROM oban_workflow_timers WHERE target = ANY(ids) AND kind = 'delay' RETURNING target, lasts
    )
    UPDATE
      oban_jobs j
    SET
      scheduled_at = GREATEST(j.scheduled_at, p_now + make_interval(secs => d.lasts))
    FROM
      delays d
    WHERE
      -- ANY: see PLANS.md
      j.id = ANY(ARRAY[d.target]);
  END IF;
END;
$$;
