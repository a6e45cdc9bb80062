-- Jobs and groups that somebody paused: nothing of them starts until they are resumed. The bit of the rules of their root
-- is 64.
CREATE TABLE oban_workflow_pauses (
  -- a job, or the key of a group
  target bigint NOT NULL,
  root bigint NOT NULL,
  paused_at timestamp WITHOUT TIME ZONE NOT NULL,
  paused_by text,

  CONSTRAINT oban_workflow_pauses_pkey PRIMARY KEY (target)
);

CREATE INDEX oban_workflow_pauses_root_index
ON oban_workflow_pauses (root);

-- A clock of the kind "pause" resumes its target.
--
-- Locks: oban_workflow_timers
ALTER TABLE oban_workflow_timers
DROP CONSTRAINT oban_workflow_timers_kind_check,
ADD CONSTRAINT oban_workflow_timers_kind_check CHECK (kind IN ('wait', 'deadline', 'inner', 'delay', 'pause'));
