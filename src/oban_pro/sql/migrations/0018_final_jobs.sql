-- Final jobs: they start when everything else of their workflow has settled.
CREATE TABLE oban_workflow_finals (
  id bigint NOT NULL,
  -- the workflow that it was added to
  group_key bigint NOT NULL,
  -- after which outcomes it runs; after others it is skipped
  runs_on text NOT NULL,

  CONSTRAINT oban_workflow_finals_pkey PRIMARY KEY (id),
  CONSTRAINT oban_workflow_finals_runs_on_check CHECK (runs_on IN ('always', 'completed', 'failed'))
);

CREATE INDEX oban_workflow_finals_group_key_index
ON oban_workflow_finals (group_key);

-- Workflows that have final jobs.
CREATE TABLE oban_workflow_ends (
  group_key bigint NOT NULL,
  root bigint NOT NULL,
  -- its final jobs, and those of them that have settled: the counters of its group hold both
  finals integer NOT NULL,
  completed integer NOT NULL,
  cancelled integer NOT NULL,
  discarded integer NOT NULL,
  -- whether what it depends on was satisfied once
  opened boolean NOT NULL,
  -- how everything else has settled; NULL until that has, and all of its executions have ended
  outcome text,

  CONSTRAINT oban_workflow_ends_pkey PRIMARY KEY (group_key)
);

CREATE INDEX oban_workflow_ends_root_index
ON oban_workflow_ends (root);
