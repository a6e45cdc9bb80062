-- Keys that at most one root workflow holds at a time. A row stays once its holder has settled where that is to hold the
-- key for longer, or while nobody could hand the key over yet.
CREATE TABLE oban_workflow_keys (
  key text NOT NULL,
  -- the root that holds it
  holder bigint NOT NULL,
  -- the root that held it before, where that has not settled and ended: the holder starts after it
  former bigint,
  -- until when the holder holds it also if it settles earlier
  held_until timestamp WITHOUT TIME ZONE,

  CONSTRAINT oban_workflow_keys_pkey PRIMARY KEY (key)
);

CREATE INDEX oban_workflow_keys_holder_index
ON oban_workflow_keys (holder);

-- Of a root with a key, whose bit among the rules is 1024: the key; until when it holds the key at least; and since when it
-- waits in line for the key, or for the end of the root before it: 'infinity' once it has left the line without starting.
--
-- Locks: oban_workflow_groups, oban_workflow_timers
ALTER TABLE oban_workflow_groups ADD COLUMN unique_key text;
ALTER TABLE oban_workflow_groups ADD COLUMN unique_until timestamp WITHOUT TIME ZONE;
ALTER TABLE oban_workflow_groups ADD COLUMN queued_at timestamp WITHOUT TIME ZONE;

-- The line behind each key.
CREATE INDEX oban_workflow_groups_queued_index
ON oban_workflow_groups (unique_key, queued_at, key DESC)
WHERE queued_at IS NOT NULL AND state = 'executing';

CREATE INDEX oban_workflow_groups_unique_index
ON oban_workflow_groups (unique_key, inserted_at)
WHERE unique_key IS NOT NULL;

-- A clock of the kind "hand_over" hands the key of a root that has settled to the next in line.
ALTER TABLE oban_workflow_timers
DROP CONSTRAINT oban_workflow_timers_kind_check,
ADD CONSTRAINT oban_workflow_timers_kind_check CHECK (
  kind IN ('wait', 'deadline', 'inner', 'delay', 'pause', 'window', 'hand_over')
);
