-- Whether a job is a final job that is cancelled if the gate of its workflow breaks: the workflow has never opened, and it is
-- empty, or a job in it still waits for the gate. Other final jobs wait for the end of everything else.
--
-- Called by: oban_workflow_stuck_jobs, oban_workflow_wait_on_purpose. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_is_gated_final(p_id bigint)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
  SELECT
    oban_workflow_is_unopened_final(p_id)
    OR EXISTS (
      SELECT
      FROM
        (
          SELECT
            f.group_key
          FROM
            oban_workflow_finals f
            CROSS JOIN LATERAL (SELECT opened FROM oban_workflow_ends WHERE group_key = f.group_key OFFSET 0) e
          WHERE
            f.id = p_id
            AND NOT e.opened
        ) unopened
        CROSS JOIN LATERAL oban_workflow_gated_groups_in(ARRAY[unopened.group_key]) g
        CROSS JOIN LATERAL (
          SELECT id FROM oban_workflow_members WHERE group_key = g.key AND gated AND id > 0 OFFSET 0
        ) m
        CROSS JOIN LATERAL (SELECT state FROM oban_jobs WHERE id = m.id OFFSET 0) j
      WHERE
        j.state = 'suspended'
    )
$$;
