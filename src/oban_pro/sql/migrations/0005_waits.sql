-- Members that nobody runs: they wait for signals, or for a time. The row of such a job is suspended until it settles.
CREATE TABLE oban_workflow_waits (
  id bigint NOT NULL,
  root bigint NOT NULL,
  -- the group that it is in
  group_key bigint NOT NULL,
  kind text NOT NULL,
  -- how many signals settle it, each of another sender
  wanted integer NOT NULL DEFAULT 1,
  -- what a signal may say; NULL for anything
  choices text[],
  -- how it settles when its time is up, and what it records then, as an Erlang term
  on_timeout text NOT NULL DEFAULT 'cancelled',
  fallback bytea,
  -- it listens: its dependencies are satisfied, and it has not settled
  is_open boolean NOT NULL DEFAULT false,
  -- since when; kept once it has settled, NULL while its dependencies are not satisfied
  opened_at timestamp WITHOUT TIME ZONE,
  -- the last signal that was used or refused before the wait was retried
  forgotten bigint NOT NULL DEFAULT 0,
  -- telemetry was told that it listens
  announced boolean NOT NULL DEFAULT false,

  CONSTRAINT oban_workflow_waits_pkey PRIMARY KEY (id),
  CONSTRAINT oban_workflow_waits_kind_check CHECK (kind IN ('signal', 'timer')),
  CONSTRAINT oban_workflow_waits_on_timeout_check CHECK (on_timeout IN ('completed', 'cancelled', 'discarded'))
);

CREATE INDEX oban_workflow_waits_root_index
ON oban_workflow_waits (root);

CREATE INDEX oban_workflow_waits_open_index
ON oban_workflow_waits (kind, root, group_key)
WHERE is_open;

CREATE INDEX oban_workflow_waits_announce_index
ON oban_workflow_waits (id)
WHERE is_open AND kind = 'signal' AND NOT announced;

-- Signals to waits, and to jobs that call await_signal. An id is drawn under the lock of the workflow, or of the plain
-- job, so ids ascend in the order of commits.
CREATE TABLE oban_workflow_signals (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  job bigint NOT NULL,
  -- of the calls that it is for; '' for waits, and for calls without a name
  name text NOT NULL DEFAULT '',
  sender text,
  -- an Erlang term without its version byte
  payload bytea NOT NULL,
  sent_at timestamp WITHOUT TIME ZONE NOT NULL,
  taken_at timestamp WITHOUT TIME ZONE,

  CONSTRAINT oban_workflow_signals_pkey PRIMARY KEY (job, id)
);

-- Calls of await_signal that jobs have reached: the k-th of each name. They stand for every later execution.
CREATE TABLE oban_workflow_awaits (
  job bigint NOT NULL,
  name text NOT NULL,
  call integer NOT NULL,
  -- NULL for a call that waits without end
  deadline timestamp WITHOUT TIME ZONE,
  timed_out boolean NOT NULL DEFAULT false,

  CONSTRAINT oban_workflow_awaits_pkey PRIMARY KEY (job, name, call)
);

-- Clocks of jobs and groups. "wait" ends a wait, "deadline" and "inner" cancel what is open ("inner" is the deadline that a
-- nested workflow brought along), "delay" puts a start off.
CREATE TABLE oban_workflow_timers (
  target bigint NOT NULL,
  kind text NOT NULL,
  root bigint NOT NULL,
  -- in seconds, from the moment that starts the clock; NULL where there is a moment
  lasts double precision,
  moment timestamp WITHOUT TIME ZONE,
  -- when it is up; NULL until the clock runs
  due timestamp WITHOUT TIME ZONE,
  -- what the errors of its jobs say then
  error text,

  CONSTRAINT oban_workflow_timers_pkey PRIMARY KEY (target, kind),
  CONSTRAINT oban_workflow_timers_kind_check CHECK (kind IN ('wait', 'deadline', 'inner', 'delay'))
);

CREATE INDEX oban_workflow_timers_due_index
ON oban_workflow_timers (due)
WHERE due IS NOT NULL;

CREATE INDEX oban_workflow_timers_root_index
ON oban_workflow_timers (root);
