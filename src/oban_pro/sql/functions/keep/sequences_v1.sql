-- Sequences that are behind, each with the last value it handed out and the last id or key in use. The next insert
-- would collide with an existing row. A restore that stopped halfway leaves sequences like that, and so does logical
-- replication, which does not carry them. Keys of groups run downwards.
--
-- Called by: the doctor. A role that may not read a sequence learns nothing about it.
-- Locks nothing: ids in the snapshot of the statement were handed out before it.
CREATE OR REPLACE FUNCTION oban_workflow_sequences_v1()
RETURNS TABLE (name text, handed_out bigint, used bigint)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    u.sequence::text, l.handed_out, u.used
  FROM
    (
      VALUES
        (
          pg_get_serial_sequence('oban_jobs', 'id')::regclass,
          GREATEST((SELECT max(id) FROM oban_jobs), (SELECT max(id) FROM oban_workflow_members WHERE id > 0))
        ),
        (
          pg_get_serial_sequence('oban_workflow_groups', 'key')::regclass,
          LEAST((SELECT min(key) FROM oban_workflow_groups), (SELECT min(id) FROM oban_workflow_members WHERE id < 0))
        ),
        (
          pg_get_serial_sequence('oban_workflow_signals', 'id')::regclass,
          (SELECT max(id) FROM oban_workflow_signals)
        )
    ) AS u(sequence, used)
    JOIN pg_sequence s ON s.seqrelid = u.sequence
    CROSS JOIN LATERAL (
      SELECT
        CASE
          WHEN has_sequence_privilege(u.sequence, 'SELECT, USAGE') THEN pg_sequence_last_value(u.sequence)
          ELSE u.used
        END AS handed_out
    ) l
  WHERE
    sign(s.seqincrement) * u.used > sign(s.seqincrement) * COALESCE(l.handed_out, 0)
$$;
