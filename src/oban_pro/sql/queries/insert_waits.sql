-- Insert the waits that jobs of workflows stand for, which nobody runs. Values come as oban spells recorded ones, and lose
-- their version byte.
INSERT INTO /* TEMPLATE: schema */oban_workflow_waits (
  id, root, group_key, kind, wanted, choices, on_timeout, fallback
)
SELECT
  w.id,
  w.root,
  w.group_key,
  w.kind,
  w.wanted,
  w.choices,
  w.on_timeout,
  /* TEMPLATE: schema */oban_workflow_bare_v1(w.fallback)
FROM
  json_to_recordset(%(waits)s::json) AS w(
    id bigint,
    root bigint,
    group_key bigint,
    kind text,
    wanted integer,
    choices text[],
    on_timeout text,
    fallback text
  )
