-- Schedules that nodes have seen, and the last tick that was dealt with: a tick is fired by whoever moves it there.
CREATE TABLE oban_workflow_schedules (
  name text NOT NULL,
  -- as the code had them when a node last saw the schedule, for programs that do not import it
  expression text NOT NULL,
  timezone text NOT NULL,
  catch_up text NOT NULL,
  overlap text NOT NULL,
  last_tick timestamp WITHOUT TIME ZONE NOT NULL DEFAULT timezone('UTC', now()),
  paused_at timestamp WITHOUT TIME ZONE,
  -- since when the function raises for the tick that is due, and what
  failing_since timestamp WITHOUT TIME ZONE,
  error text,
  -- the last tick that was given up, or dropped because of an overlap
  missed_tick timestamp WITHOUT TIME ZONE,
  inserted_at timestamp WITHOUT TIME ZONE NOT NULL DEFAULT timezone('UTC', now()),

  CONSTRAINT oban_workflow_schedules_pkey PRIMARY KEY (name)
) WITH (fillfactor = 50);

-- Root workflows that are open, oldest first: for metrics and lists.
--
-- Locks: oban_workflow_groups
CREATE INDEX oban_workflow_groups_open_index
ON oban_workflow_groups (inserted_at)
WHERE parent IS NULL AND state = 'executing';
