-- Members that need only some of their dependencies. Their "pending" counts down from what they need, and below zero where
-- more is satisfied: LEAST(need, deps - skipped) less what is satisfied.
CREATE TABLE oban_workflow_joins (
  id bigint NOT NULL,
  -- as it was given
  need integer NOT NULL,
  -- all dependencies; those of them that were skipped; and those that can no longer be satisfied. It is broken where more
  -- of them are than GREATEST(deps - skipped - need, 0).
  deps integer NOT NULL,
  skipped integer NOT NULL DEFAULT 0,
  broken integer NOT NULL DEFAULT 0,

  CONSTRAINT oban_workflow_joins_pkey PRIMARY KEY (id)
) WITH (fillfactor = 90);
