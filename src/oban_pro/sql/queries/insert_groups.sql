-- Insert nested workflows. Their parents may be in the same statement; an id that is taken raises.
INSERT INTO /* TEMPLATE: schema */oban_workflow_groups (
  key, id, root, parent, kind, name, context, empty_state, total, suspended, completed, subs, subs_completed,
  subs_cancelled, defaults, max_open, rate_allowed, rate_period, has_begun,
  tolerates, fail_fast, voided, judged, store
) OVERRIDING SYSTEM VALUE
SELECT
  g.key, g.id, g.root, g.parent, g.kind, g.name, g.context, g.empty_state, g.total, g.suspended, g.completed, g.subs,
  g.subs_completed, g.subs_cancelled, g.defaults, g.max_open, g.rate_allowed, g.rate_period, g.has_begun,
  g.tolerates, g.fail_fast, g.voided, g.judged, g.store
FROM
  json_to_recordset(%(groups)s::json) AS g(
    key bigint,
    id text,
    root bigint,
    parent bigint,
    kind text,
    name text,
    context jsonb,
    empty_state text,
    total integer,
    suspended integer,
    completed integer,
    subs integer,
    subs_completed integer,
    subs_cancelled integer,
    defaults jsonb,
    max_open integer,
    rate_allowed integer,
    rate_period double precision,
    has_begun boolean,
    tolerates numeric,
    fail_fast boolean,
    voided boolean,
    judged smallint,
    store text
  )
ORDER BY
  g.id
