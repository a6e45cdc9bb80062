-- Note which jobs undo others, in the transaction that inserts them: so nothing is undone twice.
UPDATE
  /* TEMPLATE: schema */oban_workflow_undos u
SET
  undo_id = n.undo_id
FROM
  json_to_recordset(%(undos)s::json) AS n(id bigint, undo_id bigint)
WHERE
  u.id = ANY(ARRAY[n.id])
