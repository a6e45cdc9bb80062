-- Put the row of a producer back, with a heartbeat.
INSERT INTO
  /* TEMPLATE: schema */oban_producers (uuid, name, node, queue, meta)
VALUES
  (%(uuid)s::uuid, %(name)s, %(node)s, %(queue)s, %(meta)s::jsonb)
ON CONFLICT (uuid) DO NOTHING
