-- Which rare rules a root uses, as bits; NULL for none. Whoever changes a workflow locks the row of its root and
-- reads them with it, so a workflow that uses none pays nothing for them.
--   128: an execution of one of its jobs has not ended
--
-- Locks: oban_workflow_groups
ALTER TABLE oban_workflow_groups ADD COLUMN rules smallint;

-- Executions that have not ended although their jobs no longer execute: somebody else cancelled or retried the job.
-- The node that runs it acks late, or is given up. Until then the job is not started again.
CREATE TABLE oban_workflow_unended (
  id bigint NOT NULL,
  attempted_at timestamp WITHOUT TIME ZONE NOT NULL,
  producer text NOT NULL,
  -- of the workflow of the job; NULL for a plain job
  root bigint,

  CONSTRAINT oban_workflow_unended_pkey PRIMARY KEY (id, attempted_at)
);

CREATE INDEX oban_workflow_unended_root_index
ON oban_workflow_unended (root)
WHERE root IS NOT NULL;
