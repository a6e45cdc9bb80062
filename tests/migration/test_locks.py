"""Installing, upgrading and removing beside transactions that hold locks: nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest
from oban import schema as oban_schema
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from oban_pro import schema, sql
from oban_pro.errors import SchemaLockedError
from oban_pro.sql import installing
from tests.support.databases import Psql
from tests.support.fixtures import WaitUntil

pytestmark = pytest.mark.slow

INSERT = "INSERT INTO oban_jobs (worker) VALUES ('plain')"
READ = "SELECT count(*) FROM oban_jobs"

# What a session locks of the tables and views that were there before, readers' and writers' locks
# left out.
STRONG = """
SELECT DISTINCT relation::regclass::text FROM pg_locks JOIN pg_class ON oid = relation
WHERE pid = pg_backend_pid() AND relkind IN ('r', 'v') AND relation = ANY(%s)
  AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
"""

MODES = """
SELECT DISTINCT mode FROM pg_locks JOIN pg_class ON oid = relation
WHERE pid = pg_backend_pid() AND relnamespace = 'public'::regnamespace
"""

TABLES = "SELECT array_agg(oid) FROM pg_class WHERE relkind IN ('r', 'v')"

OBJECTS = """
SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT oid, proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT oid, tgname FROM pg_trigger
ORDER BY 1, 2
"""


@pytest.fixture
def empty(empty_dsn: str) -> Psql:
    return Psql(empty_dsn)


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a pool on a database with nothing in it."""
    async with AsyncConnectionPool(empty_dsn, min_size=1, max_size=4, open=False) as pool:
        yield pool


@contextmanager
def holding(dsn: str, statement: str) -> Iterator[psycopg.Connection]:
    """Leave a transaction open behind a statement."""
    dsn = make_conninfo(dsn, application_name="forgotten")

    with psycopg.connect(dsn) as holder:
        holder.execute(statement.encode())

        yield holder


@asynccontextmanager
async def traffic(dsn: str, statement: str) -> AsyncIterator[list[None]]:
    """Execute a statement again and again, which fails where it waits much longer than 200 ms."""
    done: list[None] = []
    limited = make_conninfo(dsn, options="-c lock_timeout=10s")

    async def go_on() -> None:
        async with await psycopg.AsyncConnection.connect(limited, autocommit=True) as conn:
            while True:
                await conn.execute(statement.encode())
                done.append(None)

    task = asyncio.create_task(go_on())

    while not done and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    try:
        yield done
    finally:
        assert not task.done() or task.exception() is None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def strong_locks(conn: psycopg.Connection, before: Any) -> set[str]:
    return {name for (name,) in conn.execute(STRONG, [before]).fetchall()}


class TestInstall:
    async def test_again_takes_no_lock_that_is_stronger_than_a_readers(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)

        with psycopg.connect(empty.dsn) as conn:
            conn.execute(schema.install_sql().encode())
            assert conn.execute(MODES).fetchall() == [("AccessShareLock",)]

    async def test_again_creates_nothing_again(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        written = (
            "SELECT oid, xmin::text FROM pg_proc UNION ALL SELECT oid, xmin::text FROM pg_trigger"
        )
        before = sorted(empty.rows(written))
        await schema.install(pool)
        assert sorted(empty.rows(written)) == before

    @pytest.mark.parametrize(
        "spoiled",
        [
            "DROP TRIGGER oban_workflow_after_update ON oban_jobs",
            "ALTER TABLE oban_jobs DISABLE TRIGGER oban_workflow_after_update",
            "DROP FUNCTION oban_workflow_ack_v1",
            "DROP VIEW oban_workflows",
        ],
    )
    async def test_again_mends_what_somebody_changed(
        self, pool: AsyncConnectionPool, empty: Psql, spoiled: str
    ) -> None:
        def look() -> list[Any]:
            return empty.rows("""
                SELECT pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger UNION ALL
                SELECT proname, NULL FROM pg_proc WHERE starts_with(proname, 'oban_') UNION ALL
                SELECT attname, NULL FROM pg_attribute
                WHERE attrelid = to_regclass('oban_workflows') ORDER BY 1
            """)

        await schema.install(pool)
        before = look()
        empty.rows(spoiled)
        assert look() != before
        await schema.install(pool)
        assert look() == before

    async def test_beside_an_open_transaction_says_who_holds_what_and_holds_nobody_up(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await oban_schema.install(pool)
        before = empty.rows(OBJECTS)

        async with traffic(empty.dsn, INSERT) as inserted:
            with holding(empty.dsn, INSERT) as holder:
                with pytest.raises(SchemaLockedError) as raised:
                    await schema.install(pool)

                count = len(inserted)
                said = str(raised.value)
                assert "oban_jobs is locked by " in said
                assert f"pid {holder.info.backend_pid} (application forgotten, role " in said
                assert "idle in transaction, its transaction began at 20" in said
                assert empty.rows(OBJECTS) == before

        assert count > 20
        await schema.install(pool)

    async def test_makes_a_table_of_oban_that_is_missing_without_holding_anybody_up(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        empty.rows("DROP TABLE oban_leaders")

        async with traffic(empty.dsn, INSERT):
            with (
                holding(empty.dsn, INSERT),
                pytest.raises(SchemaLockedError, match="oban_jobs is locked by "),
            ):
                await schema.install(pool)

            await schema.install(pool)

        assert "oban_leaders" in empty.relations()

    async def test_after_a_schema_was_renamed_makes_its_functions_work_again(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool, "old")
        empty.rows("ALTER SCHEMA old RENAME TO new")
        await schema.install(pool, "new")
        settings = """
            SELECT DISTINCT proconfig[1] FROM pg_proc
            WHERE proname ~ '^oban_workflow_' AND proconfig IS NOT NULL
        """
        assert empty.rows(settings) == [("search_path=new, pg_temp",)]

    async def test_waits_for_a_transaction_that_ends_soon(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: WaitUntil
    ) -> None:
        await oban_schema.install(pool)

        with holding(empty.dsn, INSERT) as holder:
            installing = asyncio.create_task(schema.install(pool))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await wait_until(lambda: empty.rows(waiting) == [(1,)])
            holder.commit()
            await installing

        assert "oban_workflows" in empty.relations()

    async def test_is_not_stopped_by_the_statement_timeout_of_a_role(self, empty: Psql) -> None:
        dsn = make_conninfo(empty.dsn, options="-c statement_timeout=300")

        async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
            await oban_schema.install(pool)

            with holding(empty.dsn, INSERT), pytest.raises(SchemaLockedError):
                await schema.install(pool)

            await schema.install(pool)

    @pytest.mark.slow
    @pytest.mark.timeout(120)
    async def test_says_who_else_installs(self, pool: AsyncConnectionPool, empty: Psql) -> None:
        with psycopg.connect(empty.dsn) as other:
            other.execute(schema.install_sql().encode())
            pid = other.info.backend_pid

            with pytest.raises(SchemaLockedError, match=rf"installation .* pid {pid} \("):
                await schema.install(pool)

    @pytest.mark.parametrize("statements", [schema.install_sql, schema.uninstall_sql])
    async def test_leaves_the_settings_of_a_framework_as_they_were(
        self, pool: AsyncConnectionPool, empty: Psql, statements: Callable[[], str]
    ) -> None:
        names = ("lock_timeout", "statement_timeout", "check_function_bodies", "search_path")
        await oban_schema.install(pool)

        with psycopg.connect(empty.dsn) as conn:
            conn.execute("SET lock_timeout = '7s'")
            before = [conn.execute(f"SHOW {name}".encode()).fetchone() for name in names]
            conn.execute(statements().encode())
            after = [conn.execute(f"SHOW {name}".encode()).fetchone() for name in names]

        assert after == before


class TestMigrations:
    def test_name_the_tables_that_they_lock(self, empty: Psql) -> None:
        """Whatever a migration locks is locked before it starts."""
        with psycopg.connect(empty.dsn) as conn:
            conn.execute(oban_schema.install_sql().encode())
            conn.execute("CREATE TABLE oban_workflow_migrations (version integer)")
            constraint = "ADD CONSTRAINT oban_workflow_migrations_pkey PRIMARY KEY (version)"
            conn.execute(f"ALTER TABLE oban_workflow_migrations {constraint}".encode())
            conn.commit()

            for version, migration in enumerate(sql.read_all("migrations"), start=1):
                (before,) = conn.execute(TABLES).fetchone() or ()
                conn.execute(migration.encode())
                named = {
                    name
                    for names in installing._LOCKS.findall(migration)
                    for name in names.split(", ")
                }
                assert strong_locks(conn, before) == named, version
                conn.commit()


class TestLargeTable:
    @pytest.fixture(autouse=True)
    def large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schema, "LARGE", 0)

    async def test_gets_its_indexes_beside_writers(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        names = {name: f"SELECT pg_get_indexdef('{name}'::regclass)" for name in INDEXES}
        await schema.install(pool)
        expected = {name: empty.rows(query) for name, query in names.items()}
        await schema.uninstall(pool)
        empty.rows(INSERT)

        async with traffic(empty.dsn, INSERT) as inserted:
            await schema.install(pool)

        assert inserted
        assert {name: empty.rows(query) for name, query in names.items()} == expected

    async def test_says_who_writes_for_long(self, pool: AsyncConnectionPool, empty: Psql) -> None:
        await oban_schema.install(pool)
        empty.rows(INSERT)

        async with traffic(empty.dsn, INSERT) as inserted:
            with (
                holding(empty.dsn, INSERT) as holder,
                pytest.raises(SchemaLockedError, match=f"pid {holder.info.backend_pid} "),
            ):
                await schema.install(pool)

        assert len(inserted) > 20
        assert set(INDEXES) & {name for _, name in empty.rows(OBJECTS)} == set()

    async def test_gets_an_index_anew_that_was_left_unfinished(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        empty.rows(INSERT)
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
        spoil = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)"
        for name in INDEXES:
            empty.rows(spoil, [name])
            assert empty.rows(valid, [name]) == [(False,)]
        await schema.install(pool)
        for name in INDEXES:
            assert empty.rows(valid, [name]) == [(True,)]


INDEXES = ("oban_jobs_workflow_state_index", "oban_jobs_exhausted_index")


class TestUninstall:
    async def test_beside_a_reader_changes_nothing_and_holds_nobody_up(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        before = empty.rows(OBJECTS)

        async with traffic(empty.dsn, INSERT) as inserted:
            with holding(empty.dsn, READ) as holder:
                pid = holder.info.backend_pid

                with pytest.raises(
                    SchemaLockedError, match=rf"oban_jobs is locked by .*pid {pid} \("
                ):
                    await schema.uninstall(pool)

                count = len(inserted)

        assert count > 20
        assert empty.rows(OBJECTS) == before
        await schema.uninstall(pool)
        assert empty.relations() == {"oban_jobs", "oban_leaders", "oban_producers"}

    async def test_beside_readers_and_writers_that_go_on_succeeds(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)

        async with traffic(empty.dsn, INSERT) as inserted, traffic(empty.dsn, READ) as read:
            await schema.uninstall(pool)
            count = len(inserted), len(read)

        assert min(count) > 0
        assert empty.relations() == {"oban_jobs", "oban_leaders", "oban_producers"}
