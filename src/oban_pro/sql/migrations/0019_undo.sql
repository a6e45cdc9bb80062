-- Jobs with something that undoes them.
--
-- Locks: oban_workflow_ends

CREATE TABLE oban_workflow_undos (
  id bigint NOT NULL,
  -- the workflow that undoes it, unless it completes: then it is the one around that
  group_key bigint NOT NULL,
  -- the job that undoes it, as it will be inserted
  spec jsonb NOT NULL,
  -- the id that it was inserted with
  undo_id bigint,
  -- whether it may have done its work although it was cancelled, and what it recorded then
  ran boolean NOT NULL DEFAULT false,
  late text,

  CONSTRAINT oban_workflow_undos_pkey PRIMARY KEY (id)
);

CREATE INDEX oban_workflow_undos_group_key_index
ON oban_workflow_undos (group_key);

CREATE INDEX oban_workflow_undos_undo_id_index
ON oban_workflow_undos (undo_id)
WHERE undo_id IS NOT NULL;

-- the graft that undoes; 0 where nothing shall be undone
ALTER TABLE oban_workflow_ends ADD COLUMN undo bigint;
