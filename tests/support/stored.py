"""A database with very many workflows and right counters, filled by SQL within seconds.

A few workflows are enqueued and brought into the wanted states. Each is then copied row by row with
new ids, so this module need not know all columns of the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oban import Job, Oban
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from tests.support.engine import make_job

if TYPE_CHECKING:
    from collections.abc import Callable

YEAR = timedelta(days=365)

LARGE = "large"
"""The id of an open workflow with a large fan-out. Half of the jobs in the fan-out have settled."""

BROKEN = "broken"
"""The id of a settled workflow of that size, in which one job broke the others."""

WIDE = "wide"
"""The id of an open workflow with that many jobs outside of groups."""

CROWDED = "crowded"
"""The id of an open workflow with half as many waits, which listen for years."""


@dataclass(frozen=True)
class Size:
    """How much is stored.

    Args:
        settled: Number of workflows of ten jobs that settled within half a day.
        open: Number of open workflows of five jobs, which are three days old.
        finished: Number of finished jobs, including those of settled workflows.
        waiting: Number of plain jobs that wait for a time.
        large: Number of jobs of each large workflow.
        running: Number of jobs that run, on a node that never falls silent.
    """

    settled: int
    open: int
    finished: int
    waiting: int
    large: int
    running: int = 20


TINY = Size(settled=50, open=50, finished=1_000, waiting=50, large=50)
SMALL = Size(settled=10_000, open=10_000, finished=120_000, waiting=2_000, large=2_000)
BIG = Size(settled=50_000, open=50_000, finished=1_000_000, waiting=20_000, large=20_000)
HUGE = Size(settled=500_000, open=500_000, finished=10_000_000, waiting=20_000, large=20_000)

# The next states of jobs, by name, in steps. All jobs of a step change at once. Waits may be
# signalled instead.
type Steps = list[dict[str, str]]

FIRST = {"first": "completed"}
INNER: Steps = [
    {"extract": "completed"},
    {"one": "completed", **dict.fromkeys("01234", "completed")},
    {"two": "completed"},
    {"three": "completed"},
]

ANSWERED: Steps = [
    {"extract": "completed"},
    {"approval": "signalled"},
    {"pause": "completed", **dict.fromkeys("012345", "completed")},
    {"report": "completed"},
]


async def fill(dsn: str, size: Size) -> None:
    """Fill a database that has only the schema, then vacuum and analyze it."""
    async with (
        AsyncConnectionPool(dsn, min_size=1, max_size=2, open=False) as pool,
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
    ):
        filler = _Filler(Oban(pool=pool, name="filler"), conn)

        for workflow, steps in _large(size.large):
            await filler.store(workflow, steps)

        for n, (tenths, build, steps) in enumerate(SETTLED):
            workflow = build(f"settled-{n}")
            await filler.store(workflow, steps, copies=size.settled * tenths // 10 - 1)

        for n, (tenths, build, steps) in enumerate(OPEN):
            workflow = build(f"open-{n}")
            await filler.store(workflow, steps, copies=size.open * tenths // 10 - 1, days=3)

        plain = {"finished": size.finished - 10 * size.settled, "waiting": size.waiting}
        await conn.execute(PLAIN, plain)
        await conn.execute(RUNNING, {"running": size.running})
        await conn.execute(PARKED)
        await conn.execute(SIGNALLED)
        await conn.execute(ANNOUNCED)
        await conn.execute(TOLD)
        # by itself, vacuum does not clean indexes if few pages have dead rows
        await conn.execute("VACUUM (ANALYZE, INDEX_CLEANUP ON)")


def _settled(id: str) -> Workflow:
    load = Workflow().add("one", _job()).add("two", _job(), deps="one")
    load.add("three", _job(), deps="two")

    return (
        Workflow(id=id, name="settled")
        .add_context({"tenant": id})
        .add("extract", _job())
        .add_workflow("load", load, deps="extract")
        .add_many("each", [_job() for _ in range(5)], deps="extract")
        .add("report", _job(), deps=["load", "each"])
    )


def _open(id: str, size: int = 3) -> Workflow:
    return (
        Workflow(id=id, name="open")
        .add("first", _job())
        .add_many("each", [_job() for _ in range(size)], deps="first")
        .add("last", _job(), deps="each")
    )


def _answered(id: str) -> Workflow:
    return (
        Workflow(id=id, name="settled", deadline=YEAR)
        .add("extract", _job())
        .add_signal("approval", deps="extract", wait_for=YEAR)
        .add_timer("pause", YEAR, deps="approval")
        .add_many("each", [_job() for _ in range(6)], deps="approval")
        .add("report", _job(), deps=["each", "pause"])
    )


def _waiting(id: str) -> Workflow:
    return (
        Workflow(id=id, name="open", deadline=YEAR)
        .add("first", _job(), deadline=YEAR)
        .add_signal("approval", deps="first", wait_for=YEAR, count=2)
        .add_timer("pause", YEAR, deps="first")
        .add("second", _job(), deps=["approval", "pause"], deadline=YEAR)
        .add("last", _job(), deps="second", delay=60)
    )


def _crowded(size: int) -> Workflow:
    workflow = Workflow(id=CROWDED)

    for n in range(size):
        workflow.add_signal(str(n), wait_for=YEAR)

    return workflow.add("last", _job(), deps=["0", "1", "2"])


# Of ten workflows, how many end in which state.
SETTLED: list[tuple[int, Callable[[str], Workflow], Steps]] = [
    (6, _settled, [*INNER, {"report": "completed"}]),
    (2, _answered, ANSWERED),
    (1, _settled, [*INNER, {"report": "discarded"}]),
    (1, _settled, [{"extract": "cancelled"}]),
]

# Of ten workflows, how many have reached which point.
OPEN: list[tuple[int, Callable[[str], Workflow], Steps]] = [
    (2, _open, []),
    (2, _open, [{"first": "scheduled"}]),
    (2, _open, [FIRST, {"0": "completed", "1": "retryable"}]),
    (2, _open, [FIRST, {"0": "completed", "1": "discarded"}]),
    (2, _waiting, [FIRST, {"approval": "signalled"}]),
]


def _large(size: int) -> list[tuple[Workflow, Steps]]:
    names = [str(n) for n in range(size)]
    half = dict.fromkeys(names[::2], "completed")
    wide = Workflow(id=WIDE).add("first", _job())

    for name in names:
        wide.add(name, _job(), deps="first")

    waiting = {"1": "retryable", "3": "scheduled"}
    rest = dict.fromkeys(names, "cancelled")

    return [
        (_open(LARGE, size), [FIRST, {**half, **waiting}]),
        (_open(BROKEN, size), [FIRST, {**half, "7": "discarded"}, rest]),
        (wide.add("last", _job(), deps=["1", "2"]), [FIRST, half]),
        (_crowded(size // 2), []),
    ]


def _job() -> Job:
    return make_job("stored", args={"n": 1})


class _Filler:
    def __init__(self, oban: Oban, conn: AsyncConnection[Any]) -> None:
        self._oban = oban
        self._conn = conn

    async def store(
        self, workflow: Workflow, steps: Steps, *, copies: int = 0, days: int = 0
    ) -> None:
        """Enqueue a workflow, change the states of its jobs, and copy it with earlier dates."""
        await self._oban.enqueue_many(workflow)

        for states in steps:
            names, new = [*states], [*states.values()]

            if "signalled" in new:
                await self._conn.execute(SIGNAL, {"id": workflow.id, "names": names})
            else:
                await self._conn.execute(STEP, {"id": workflow.id, "names": names, "states": new})

        if copies > 0:
            await self._copy(workflow.id, copies, days)

    async def _copy(self, workflow_id: str, copies: int, days: int) -> None:
        await self._conn.execute(COPIED, {"id": workflow_id})
        meta: sql.Composable = sql.SQL("t.meta::text")

        for (old,) in await self._rows("SELECT workflow_id FROM copied WHERE key < 0"):
            own = sql.Literal(old)
            meta = sql.SQL("replace({}, {}, {})").format(meta, own, _new_id(own))

        ids = {
            ("oban_jobs", "meta"): sql.SQL("{}::jsonb").format(meta),
            ("oban_workflow_groups", "id"): _new_id(sql.SQL("t.id")),
        }

        for table, members in MEMBERS.items():
            values: dict[str, sql.Composable] = {}

            for name, is_time in await self._rows(COLUMNS, [table]):
                column = sql.Identifier("t", name)
                # they were inserted long before their states changed
                ages = [sql.Literal(days + 3 * (name == "inserted_at")), sql.Literal(copies)]
                values[name] = sql.SQL(EARLIER).format(column, *ages) if is_time else column
                values[name] = ids.get((table, name), values[name])

            for name in members:
                values[name] = sql.SQL("{0}.first + {0}.step * c").format(sql.Identifier(name))

            await self._conn.execute(_copying(table, values, members, copies))

        await self._conn.execute("DROP TABLE copied")
        await self._conn.execute(SEQUENCES)

    async def _rows(self, statement: str, params: Any = None) -> list[Any]:
        return await (await self._conn.execute(statement.encode(), params)).fetchall()


def _copying(
    table: str, values: dict[str, sql.Composable], members: tuple[str, ...], copies: int
) -> sql.Composed:
    own, *others = map(sql.Identifier, members)
    joins = [sql.SQL("JOIN copied {0} ON {0}.key = t.{0}").format(own)]
    joins += [sql.SQL("LEFT JOIN copied {0} ON {0}.key = t.{0}").format(name) for name in others]

    return sql.SQL(COPY).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, values)),
        values=sql.SQL(", ").join(values.values()),
        copies=sql.Literal(copies),
        joins=sql.SQL(" ").join(joins),
    )


def _new_id(old: sql.Composable) -> sql.Composable:
    return sql.SQL("md5({} || c)::uuid::text").format(old)


# The columns that have ids of members. The first one names the member of the row.
MEMBERS = {
    "oban_jobs": ("id",),
    "oban_workflow_groups": ("key", "root", "parent"),
    "oban_workflow_members": ("id", "group_key"),
    "oban_workflow_edges": ("upstream", "downstream"),
    "oban_workflow_waits": ("id", "root", "group_key"),
    "oban_workflow_timers": ("target", "root"),
    "oban_workflow_joins": ("id",),
    "oban_workflow_signals": ("job",),
    "oban_workflow_finals": ("id", "group_key"),
    "oban_workflow_ends": ("group_key", "root"),
    "oban_workflow_undos": ("id", "group_key"),
}

SIGNAL = """
SELECT oban_workflow_signal(%(id)s, name, '{"choice": "yes"}', 'stored')
FROM unnest(%(names)s::text[]) AS name
"""

STEP = """
UPDATE oban_jobs j SET
  state = s.state::oban_job_state,
  attempt = CASE s.state WHEN 'completed' THEN 1 ELSE 2 END,
  attempted_at = now,
  attempted_by = ARRAY['stored', gen_random_uuid()::text],
  scheduled_at = CASE
    WHEN s.state IN ('scheduled', 'retryable') THEN now + interval '30 days' ELSE j.scheduled_at
  END,
  completed_at = CASE s.state WHEN 'completed' THEN now END,
  cancelled_at = CASE s.state WHEN 'cancelled' THEN now END,
  discarded_at = CASE s.state WHEN 'discarded' THEN now END,
  errors = CASE s.state
    WHEN 'completed' THEN j.errors ELSE '[{"attempt": 1, "error": "boom"}]'
  END,
  meta = CASE s.state
    WHEN 'completed' THEN j.meta || '{"recorded": true, "return": "g2EB"}' ELSE j.meta
  END
FROM
  timezone('UTC', now()) AS now
  CROSS JOIN oban_workflow_groups r
  JOIN oban_workflow_groups g ON g.root = r.key
  JOIN oban_workflow_members m ON m.group_key = g.key
  JOIN unnest(%(names)s::text[], %(states)s::text[]) AS s(name, state) ON s.name = m.name
WHERE r.id = %(id)s AND j.id = m.id AND j.state NOT IN ('completed', 'cancelled', 'discarded')
"""

# The ids of copies: copy number c of a member gets the id first + step * c.
COPIED = """
CREATE TEMP TABLE copied AS
WITH groups AS (
  SELECT g.key, g.id
  FROM oban_workflow_groups r JOIN oban_workflow_groups g ON g.root = r.key
  WHERE r.id = %(id)s
)
SELECT
  m.id AS key,
  NULL AS workflow_id,
  (SELECT max(id) FROM oban_jobs) + row_number() OVER (ORDER BY m.id) AS first,
  count(*) OVER () AS step
FROM groups g JOIN oban_workflow_members m ON m.group_key = g.key
WHERE m.id > 0
UNION ALL
SELECT
  key,
  id,
  (SELECT min(key) FROM oban_workflow_groups) - row_number() OVER (ORDER BY key DESC),
  -count(*) OVER ()
FROM groups
"""

COLUMNS = """
SELECT column_name, data_type LIKE 'timestamp%%'
FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'
"""

EARLIER = "{} - make_interval(days => {}) - c * interval '12 hours' / {}"

COPY = """
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {values} FROM generate_series(0, {copies} - 1) AS c CROSS JOIN {table} t {joins} ORDER BY c
"""

SEQUENCES = """
SELECT
  setval(pg_get_serial_sequence('oban_jobs', 'id'), (SELECT max(id) FROM oban_jobs)),
  setval(
    pg_get_serial_sequence('oban_workflow_groups', 'key'),
    (SELECT min(key) FROM oban_workflow_groups)
  )
"""

PLAIN = """
INSERT INTO oban_jobs (
  worker, queue, state, args, attempt, attempted_at, attempted_by, completed_at, scheduled_at
)
SELECT
  'tests.support.engine.Nobody',
  'stored',
  CASE WHEN done THEN 'completed' ELSE 'scheduled' END::oban_job_state,
  '{"n": 1}',
  done::int,
  CASE WHEN done THEN at END,
  ARRAY['stored', gen_random_uuid()::text],
  CASE WHEN done THEN at END,
  CASE WHEN done THEN at ELSE at + interval '30 days' END
FROM
  (VALUES (true, %(finished)s), (false, %(waiting)s)) AS kinds(done, count)
  CROSS JOIN LATERAL generate_series(1, count) AS n
  CROSS JOIN LATERAL (SELECT timezone('UTC', now()) - n * interval '12 hours' / count AS at) t
"""

RUNNING = """
WITH producer AS (
  INSERT INTO oban_producers (uuid, node, queue, updated_at, meta)
  VALUES (
    gen_random_uuid(),
    'stored',
    'stored',
    timezone('UTC', now()),
    '{"oban_workflows_patience": 1e9}'
  )
  RETURNING uuid
),
heard AS (
  INSERT INTO oban_workflow_hearing (heard_from, heard_until)
  SELECT now - interval '3 days', now FROM timezone('UTC', now()) AS now
)
UPDATE oban_jobs SET
  state = 'executing',
  attempt = 1,
  attempted_at = timezone('UTC', now()),
  attempted_by = ARRAY['stored', (SELECT uuid::text FROM producer)]
WHERE id IN (SELECT id FROM oban_jobs WHERE state = 'available' ORDER BY id LIMIT %(running)s)
"""

# Some plain jobs wait for a signal, others have got one.
PARKED = """
WITH parked AS (
  UPDATE oban_jobs SET
    meta = meta || '{"wait": {"name": "", "call": 1}, "wait_until": null}'
  WHERE state = 'scheduled' AND NOT meta ? 'workflow_id' AND id % 10 = 0
  RETURNING id
)
INSERT INTO oban_workflow_awaits (job, name, call) SELECT id, '', 1 FROM parked
"""

SIGNALLED = """
WITH signalled AS (
  SELECT id, completed_at
  FROM oban_jobs
  WHERE state = 'completed' AND NOT meta ? 'workflow_id' AND id % 10 = 0
),
called AS (
  INSERT INTO oban_workflow_awaits (job, name, call) SELECT id, '', 1 FROM signalled
)
INSERT INTO oban_workflow_signals (job, payload, sent_at, taken_at)
SELECT id, '\\x6100', completed_at, completed_at FROM signalled
"""

# The events of settled workflows were sent long ago.
ANNOUNCED = """
UPDATE oban_workflow_groups SET announced = true WHERE parent IS NULL AND state <> 'executing'
"""

# The events of open waits were sent long ago too.
TOLD = """
UPDATE oban_workflow_waits SET announced = true WHERE is_open
"""
