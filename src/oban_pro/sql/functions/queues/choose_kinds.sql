-- Choose and lock the next jobs of a queue with a partition: of each kind as many as its limits leave.
--
-- It looks at a few jobs at the front of the line. If these are not enough, because a busy kind is in front, it looks
-- at 10,000, or, if the partition has an index, at the first jobs of each kind. Locked jobs are left out, and other
-- jobs of their kind are chosen instead.
--
-- Called by: oban_workflow_fetch_limited, which holds the row of the queue.
-- Locks: the rows of the jobs; never waits for one.
-- Called twice: chooses the same again.
CREATE OR REPLACE FUNCTION oban_workflow_choose_kinds(p_limits oban_workflow_queues, p_demand integer)
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_is_indexed boolean := (SELECT is_ready FROM oban_workflow_partition_index_v1(p_limits.queue));
  v_busy record;
  v_size integer;
  v_seen integer;
  v_chosen bigint[];
  v_locked bigint[];
  v_held bigint[] := '{}';
  v_few integer := 100 + 4 * p_demand;
BEGIN
  SELECT kinds, executing FROM oban_workflow_busy_kinds(p_limits) INTO v_busy;

  FOREACH v_size IN ARRAY ARRAY[v_few, v_few, 10000 + p_demand, 10000 + p_demand] LOOP
    IF v_is_indexed THEN
      v_chosen := oban_workflow_choose_indexed(p_limits, p_demand, v_held, v_busy.kinds, v_busy.executing);
    ELSE
      SELECT
        ids, seen
      INTO
        v_chosen, v_seen
      FROM
        oban_workflow_choose_front(p_limits, p_demand, v_size, v_held, v_busy.kinds, v_busy.executing);
    END IF;

    v_locked := ARRAY(
      SELECT id FROM oban_jobs WHERE id = ANY(v_chosen) AND (state = 'available') IS TRUE FOR UPDATE SKIP LOCKED
    );
    v_held := v_held || ARRAY(SELECT c.id FROM unnest(v_chosen) AS c(id) WHERE c.id <> ALL(v_locked));

    EXIT WHEN cardinality(v_locked) >= p_demand
      OR (cardinality(v_locked) = cardinality(v_chosen) AND (v_is_indexed OR v_seen < v_size));
  END LOOP;

  RETURN v_locked;
END;
$$;
