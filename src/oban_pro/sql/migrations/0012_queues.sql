-- What each producer announced: its queue, and the limits that this queue has over all nodes. NULL for none.
--
-- Locks: oban_workflow_producers
ALTER TABLE oban_workflow_producers ADD COLUMN queue text;
ALTER TABLE oban_workflow_producers ADD COLUMN limits jsonb;

-- Queues with limits over all nodes: the strictest that a living producer announced. Whoever takes jobs of such a queue
-- locks its row.
CREATE TABLE oban_workflow_queues (
  queue text NOT NULL,
  -- how many jobs may execute at once; NULL for any number
  global_limit integer,
  -- how many may start in a period, which is in seconds; NULL for any number
  allowed integer,
  period double precision,
  -- by what jobs are told apart, each kind with limits of its own; NULL where they are not
  fields text[],
  keys text[],

  CONSTRAINT oban_workflow_queues_pkey PRIMARY KEY (queue)
);

-- Periods that have begun, and how many jobs have started in each. The value identifies the partition;
-- a queue without partitions has one row, with the value 0.
CREATE TABLE oban_workflow_windows (
  queue text NOT NULL,
  value bigint NOT NULL,
  opened_at timestamp WITHOUT TIME ZONE NOT NULL,
  started integer NOT NULL,

  CONSTRAINT oban_workflow_windows_pkey PRIMARY KEY (queue, value)
);
