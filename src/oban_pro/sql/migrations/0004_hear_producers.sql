-- When the database could hear heartbeats: periods in which some node looked for silent producers again and again. Only
-- the silence within them counts. Between two of them the database was away from all nodes (a restart, a pause, a
-- partition), its clock was set, or no node was there to look.
--
-- Unlogged like oban_producers: after a crash, or on a promoted standby, both are empty and silence counts from there.
CREATE UNLOGGED TABLE oban_workflow_hearing (
  heard_from timestamp WITHOUT TIME ZONE NOT NULL,
  heard_until timestamp WITHOUT TIME ZONE NOT NULL,

  CONSTRAINT oban_workflow_hearing_pkey PRIMARY KEY (heard_from)
);
