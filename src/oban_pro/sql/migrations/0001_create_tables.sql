-- The bookkeeping beside oban_jobs: three narrow tables, so that running a workflow never rewrites more
-- of the wide job rows than oban itself does.
--
-- A group is a workflow: a root, or one nested in another (sub-workflow, fan-out, graft).
-- A member is a job or a nested group within its group. Jobs and groups share one id space: a positive
-- id is that of a row in oban_jobs, a negative one the key of a row in oban_workflow_groups. An edge can
-- therefore start and end at either, which makes a fan-in of N jobs into M jobs N + M rows, not N x M.
--
-- Life of a member: it waits while "pending" counts unsatisfied dependencies, is released when that
-- reaches zero, and settles with its job. Every counter here is a pure function of the states in
-- oban_jobs (and of "gone", for rows that were deleted), so one query can recompute all of them.
--
-- There are no foreign keys: rows are written and removed only by the functions beside this file, all
-- of them under the lock of the root (see functions/lock_roots.sql), and checking each row again would
-- double the cost of inserting.
--
-- Locks: oban_jobs

CREATE TABLE oban_workflow_groups (
  key bigint GENERATED ALWAYS AS IDENTITY (INCREMENT BY -1),
  id text NOT NULL,
  root bigint NOT NULL,
  parent bigint,
  kind text NOT NULL DEFAULT 'workflow',
  name text,
  context jsonb,
  -- what the group counts as while it has neither jobs nor groups in it: its gate decides
  empty_state text NOT NULL DEFAULT 'executing',
  -- jobs of this group itself; those in no settled state and not suspended are not counted here
  total integer NOT NULL DEFAULT 0,
  suspended integer NOT NULL DEFAULT 0,
  completed integer NOT NULL DEFAULT 0,
  cancelled integer NOT NULL DEFAULT 0,
  discarded integer NOT NULL DEFAULT 0,
  -- groups nested directly in this one
  subs integer NOT NULL DEFAULT 0,
  subs_completed integer NOT NULL DEFAULT 0,
  subs_cancelled integer NOT NULL DEFAULT 0,
  subs_discarded integer NOT NULL DEFAULT 0,
  state text NOT NULL GENERATED ALWAYS AS (
    CASE
      WHEN total + subs = 0 THEN empty_state
      WHEN completed + cancelled + discarded < total THEN 'executing'
      WHEN subs_completed + subs_cancelled + subs_discarded < subs THEN 'executing'
      WHEN discarded + subs_discarded > 0 THEN 'discarded'
      WHEN cancelled + subs_cancelled > 0 THEN 'cancelled'
      ELSE 'completed'
    END
  ) STORED,
  -- whether telemetry was told that this root has settled
  announced boolean NOT NULL DEFAULT false,
  inserted_at timestamp WITHOUT TIME ZONE NOT NULL DEFAULT timezone('UTC', now()),
  started_at timestamp WITHOUT TIME ZONE,
  stopped_at timestamp WITHOUT TIME ZONE,
  -- stopped_at of a group whose state is not 'executing', else NULL: only this is in an index, as stopped_at changes with
  -- every job, and would cost each update of a group an entry in every index
  settled_at timestamp WITHOUT TIME ZONE GENERATED ALWAYS AS (
    CASE
      WHEN total + subs = 0 AND empty_state = 'executing' THEN NULL
      WHEN completed + cancelled + discarded < total THEN NULL
      WHEN subs_completed + subs_cancelled + subs_discarded < subs THEN NULL
      ELSE COALESCE(stopped_at, inserted_at)
    END
  ) STORED,

  CONSTRAINT oban_workflow_groups_pkey PRIMARY KEY (key),
  CONSTRAINT oban_workflow_groups_id_key UNIQUE (id),
  CONSTRAINT oban_workflow_groups_kind_check CHECK (kind IN ('workflow', 'sub', 'fan_out', 'graft')),
  CONSTRAINT oban_workflow_groups_empty_state_check CHECK (empty_state IN ('executing', 'completed', 'cancelled'))
) WITH (fillfactor = 70);

CREATE INDEX oban_workflow_groups_root_index
ON oban_workflow_groups (root);

CREATE INDEX oban_workflow_groups_parent_index
ON oban_workflow_groups (parent)
WHERE parent IS NOT NULL;

CREATE INDEX oban_workflow_groups_roots_index
ON oban_workflow_groups (inserted_at)
WHERE parent IS NULL;

-- For the pruner.
CREATE INDEX oban_workflow_groups_aged_index
ON oban_workflow_groups (settled_at)
WHERE parent IS NULL AND settled_at IS NOT NULL;

CREATE INDEX oban_workflow_groups_settled_index
ON oban_workflow_groups (key)
WHERE parent IS NULL AND state <> 'executing' AND NOT announced;

CREATE TABLE oban_workflow_members (
  id bigint NOT NULL,
  group_key bigint NOT NULL,
  name text NOT NULL,
  -- unsatisfied dependencies, each edge one; of a group that is gated, the gate of the one around it another
  pending integer NOT NULL DEFAULT 0,
  -- waits for what its group depends on, judged by the flags of the group: a job, until nothing is pending for the
  -- group, whose many jobs share that one count
  gated boolean NOT NULL DEFAULT false,
  ignore_cancelled boolean NOT NULL DEFAULT false,
  ignore_discarded boolean NOT NULL DEFAULT false,
  -- of a job whose row is gone: the state it had settled in, or 'deleted'
  gone text,

  CONSTRAINT oban_workflow_members_pkey PRIMARY KEY (id),
  CONSTRAINT oban_workflow_members_name_key UNIQUE (group_key, name),
  CONSTRAINT oban_workflow_members_gone_check CHECK (gone IN ('completed', 'cancelled', 'discarded', 'deleted'))
) WITH (fillfactor = 90);

CREATE TABLE oban_workflow_edges (
  upstream bigint NOT NULL,
  downstream bigint NOT NULL,

  CONSTRAINT oban_workflow_edges_pkey PRIMARY KEY (upstream, downstream)
);

CREATE INDEX oban_workflow_edges_downstream_index
ON oban_workflow_edges (downstream);

-- Every producer that oban_producers has held. That table is unlogged, so empty after a crash, and the leader
-- clears it of producers that are silent; only one that was there can be missed. Nodes that never write to it
-- are judged by the age of their jobs alone.
CREATE TABLE oban_workflow_producers (
  uuid uuid NOT NULL,
  -- seconds without a heartbeat after which it is given up; null where it did not say
  patience double precision,
  -- the last heartbeat, or else the moment it was missed, once the row there is gone
  left_at timestamp WITHOUT TIME ZONE,

  CONSTRAINT oban_workflow_producers_pkey PRIMARY KEY (uuid)
);

INSERT INTO oban_workflow_producers (uuid) SELECT uuid FROM oban_producers;

-- Few jobs ever pass through here: those that wait for a time, that broke, or that ran more than once. They are looked
-- for when somebody asks, among very many of other workflows.
CREATE INDEX IF NOT EXISTS oban_jobs_workflow_state_index
ON oban_jobs ((meta ->> 'workflow_id'), state, id)
WHERE (state IN ('scheduled', 'retryable', 'cancelled', 'discarded') OR attempt > 1) AND meta ? 'workflow_id';

-- Jobs that wait without an attempt left, which rescuing discards: hardly any, among all that are available.
CREATE INDEX IF NOT EXISTS oban_jobs_exhausted_index
ON oban_jobs (id)
WHERE state = 'available' AND attempt >= max_attempts;

-- Rows of these tables are updated in place and many die young.
ALTER TABLE oban_workflow_groups SET (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 200,
  autovacuum_analyze_scale_factor = 0.02,
  autovacuum_vacuum_cost_delay = 1
);

ALTER TABLE oban_workflow_members SET (
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 1
);
