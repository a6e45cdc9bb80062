-- How many members of a fan-out may be released in a period, and how many seconds a period lasts; NULL for no limit. Of a mapped fan-out the
-- row of the graft says it.
--
-- Locks: oban_workflow_groups, oban_workflow_timers
ALTER TABLE oban_workflow_groups ADD COLUMN rate_allowed integer;
ALTER TABLE oban_workflow_groups ADD COLUMN rate_period double precision;

-- When the period began that goes on, with the first release in it, and how many were released since; NULL before the first.
ALTER TABLE oban_workflow_groups ADD COLUMN window_from timestamp WITHOUT TIME ZONE;
ALTER TABLE oban_workflow_groups ADD COLUMN window_released integer;

-- A clock of the kind "window" ends a period while somebody waits for the next.
ALTER TABLE oban_workflow_timers
DROP CONSTRAINT oban_workflow_timers_kind_check,
ADD CONSTRAINT oban_workflow_timers_kind_check CHECK (
  kind IN ('wait', 'deadline', 'inner', 'delay', 'pause', 'window')
);
