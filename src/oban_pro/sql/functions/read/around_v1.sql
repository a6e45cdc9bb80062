-- A member, the group that it is in, and each group around that, up to the root; each with its distance from the member.
--
-- p_id is a job, or the key of a group.
--
-- Called by: queries and functions that look for something at a member or around it. Locks nothing. It is inlined, as
-- oban_workflow_groups_in_v1 is. OFFSET 0: see PLANS.md.
CREATE OR REPLACE FUNCTION oban_workflow_around_v1(p_id bigint)
RETURNS TABLE (id bigint, distance integer)
LANGUAGE sql
STABLE
BEGIN ATOMIC
  WITH RECURSIVE around AS (
    SELECT
      p_id AS id, 0 AS distance
    UNION ALL
    SELECT
      m.group_key, around.distance + 1
    FROM
      around
      CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = around.id OFFSET 0) m
  )
  SELECT
    around.id, around.distance
  FROM
    around;
END;
