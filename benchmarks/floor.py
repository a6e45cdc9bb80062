"""The floor: the least that a queue in PostgreSQL has to do for each job, with bare psycopg.

One statement inserts all rows. Then each batch needs two commits: one takes it, one settles it.
"""

from __future__ import annotations

import time

import psycopg

from .measurement import Result, Run

INSERT = """
INSERT INTO oban_jobs (worker, args)
SELECT 'benchmarks.workers.Noop', jsonb_build_object('n', n) FROM generate_series(1, %s) AS n
"""

# With an array the planner has no join to choose: it finds the rows by their primary key.
TAKE = """
UPDATE oban_jobs
SET state = 'executing', attempt = attempt + 1, attempted_at = timezone('UTC', now())
WHERE id = ANY(ARRAY(
  SELECT id FROM oban_jobs
  WHERE state = 'available' AND queue = 'default'
  ORDER BY priority, scheduled_at, id
  LIMIT %s
  FOR UPDATE SKIP LOCKED
))
RETURNING *
"""

SETTLE = """
UPDATE oban_jobs
SET state = 'completed', completed_at = timezone('UTC', now())
WHERE id = ANY(%s) AND state IS NOT DISTINCT FROM 'executing'
"""

NEXT = "INSERT INTO oban_jobs (worker) VALUES ('benchmarks.workers.Noop')"


def measure(run: Run) -> Result:
    """Insert rows, then take and settle them in batches, or for a chain one by one."""
    with psycopg.connect(run.dsn, autocommit=True) as conn:
        started = time.perf_counter()
        conn.execute(INSERT, [1 if run.shape == "hops" else run.size])
        inserted = time.perf_counter()
        settled = 0

        while settled < run.size:
            settled += _batch(conn, run, last=settled == run.size - 1)

        return Result(inserted - started, time.perf_counter() - started)


def _batch(conn: psycopg.Connection, run: Run, *, last: bool) -> int:
    chained = run.shape == "hops"
    ids = [row[0] for row in conn.execute(TAKE, [1 if chained else run.limit])]

    with conn.transaction():
        conn.execute(SETTLE, [ids])

        if chained and not last:
            conn.execute(NEXT)

    return len(ids)
