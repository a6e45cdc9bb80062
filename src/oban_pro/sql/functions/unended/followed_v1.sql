-- The execution that a suspended job follows and waits for the end of, although its job was stopped from outside: the
-- id of that job. NULL if nothing else is pending, or if it follows none. There may be more; those that the job depends
-- on directly come first, and of the others 20 are looked at.
--
-- It walks as oban_workflow_behind_unended does, and knows where it began.
--
-- Called by: the query that explains a job, in workflows with such executions. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_followed_v1(p_id bigint, p_root bigint)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_unended bigint;
BEGIN
  FOR v_unended IN
    SELECT
      u.id
    FROM
      oban_workflow_unended u
    WHERE
      u.root = p_root
      AND u.id <> p_id
    GROUP BY
      u.id
    ORDER BY
      EXISTS (SELECT FROM oban_workflow_edges e WHERE e.upstream = u.id AND e.downstream = p_id) DESC,
      u.id
    LIMIT
      20
  LOOP
    IF p_id IN (SELECT oban_workflow_behind_jobs(ARRAY[v_unended])) THEN
      RETURN v_unended;
    END IF;
  END LOOP;

  RETURN NULL;
END;
$$;
