"""Upgrading a database in which nodes of an older package run workflows."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import doctor, schema
from tests.support.databases import Psql
from tests.support.paths import PACKAGE
from tests.support.recount import assert_consistent
from tests.support.releases import Release, checked_out, make_release

BEFORE = "f0cb05a"
"""The commit whose nodes run while this package is installed, and its version of the schema: 18."""

OBJECTS = """
SELECT relname AS name, relkind::text, '' FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT proname, pg_get_function_identity_arguments(oid), prosrc FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proname <> 'oban_workflow_installed_v1'
UNION ALL
SELECT tgname, pg_get_triggerdef(oid), '' FROM pg_trigger
UNION ALL
SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid::regclass::text ~ '^oban_' AND attnum > 0
ORDER BY 1, 2, 3
"""

COMPLETED = """
SELECT count(DISTINCT meta ->> 'workflow_id') FROM oban_jobs
WHERE attempted_by[1] = %s AND state = 'completed' AND meta ->> 'name' = 'last'
"""

FAILED = """
SELECT id, state::text, attempt, errors FROM oban_jobs
WHERE state NOT IN ('completed', 'available', 'suspended', 'executing')
  OR errors::text NOT IN ('{}', '[]')
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Provide the package as it was."""
    release = checked_out(tmp_path_factory.mktemp("before"), BEFORE)

    if release is None:
        pytest.skip(f"commit {BEFORE} is not in the history here")

    return release


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_release(tmp_path_factory.mktemp("newer"), "0.10.0")


@pytest.fixture
def empty(empty_dsn: str) -> Psql:
    return Psql(empty_dsn)


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a pool on a database with nothing in it."""
    async with AsyncConnectionPool(empty_dsn, min_size=1, max_size=4, open=False) as pool:
        yield pool


def wait(condition: Callable[[], Any]) -> None:
    """Poll a condition without an event loop: the nodes are other processes."""
    deadline = time.monotonic() + 40

    while not condition():
        assert time.monotonic() < deadline, "the condition must turn true"
        time.sleep(0.05)


def completed(psql: Psql, node: str) -> int:
    """Count workflows whose last job a node has completed."""
    ((count,),) = psql.rows(COMPLETED, [node])

    return int(count)


def objects(psql: Psql) -> list[Any]:
    return psql.rows(OBJECTS)


async def assert_well(dsn: str, pool: AsyncConnectionPool) -> None:
    """Fail unless everything settles on this package, without an error and with right books."""
    psql = Psql(dsn)

    async with Oban(pool=pool, queues={"default": 10}, stager={"interval": 0.05}):
        left = "SELECT count(*) FROM oban_jobs WHERE state <> 'completed'"
        deadline = time.monotonic() + 40

        while psql.rows(left) != [(0,)]:
            assert psql.rows(FAILED) == []
            assert time.monotonic() < deadline

        assert await doctor.audit() == []

    assert psql.rows(FAILED) == []

    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await assert_consistent(conn)


@pytest.mark.slow
@pytest.mark.timeout(180)
class TestSideBySide:
    async def test_nodes_from_before_go_on_while_this_package_installs_and_runs(
        self, before: Release, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        before.install(empty.dsn)
        this = Release(PACKAGE.parent)

        with before.node(empty.dsn, "before"):
            wait(lambda: completed(empty, "before") > 3)
            await schema.install(pool)

            with this.node(empty.dsn, "this"):
                ran = completed(empty, "before")
                wait(lambda: completed(empty, "before") > ran + 5)
                wait(lambda: completed(empty, "this") > 5)

        await assert_well(empty.dsn, pool)

    async def test_nodes_of_this_package_go_on_while_a_newer_one_installs_and_runs(
        self, newer: Release, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        this = Release(PACKAGE.parent)

        with ExitStack() as nodes:
            nodes.enter_context(this.node(empty.dsn, "this"))
            wait(lambda: completed(empty, "this") > 3)
            newer.install(empty.dsn)
            nodes.enter_context(newer.node(empty.dsn, "newer"))
            # One that starts afterwards, too: a deployment takes its time.
            nodes.enter_context(this.node(empty.dsn, "late"))
            ran = completed(empty, "this")
            wait(lambda: completed(empty, "this") > ran + 3)
            wait(lambda: completed(empty, "newer") > 3 and completed(empty, "late") > 3)

        await assert_well(empty.dsn, pool)


class TestUpgrade:
    async def test_needs_no_lock_on_jobs_where_nothing_of_theirs_changes(
        self, before: Release, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        before.install(empty.dsn)

        with psycopg.connect(empty.dsn) as holder:
            holder.execute("INSERT INTO oban_jobs (worker) VALUES ('plain')")
            await schema.install(pool)
            holder.commit()

    async def test_makes_what_an_installation_makes(
        self, before: Release, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        before.install(empty.dsn)
        await schema.install(pool)
        upgraded = objects(empty)
        await schema.uninstall(pool)
        await schema.install(pool)
        assert upgraded == objects(empty)

    async def test_cannot_be_undone_by_the_package_from_before(
        self, before: Release, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        expected = objects(empty)
        code, error = before.try_install(empty.dsn)
        assert code == 1
        assert f"at version {schema.VERSION} of oban-workflows (installed by" in error
        assert "newer than version 18 of this package" in error
        assert objects(empty) == expected

    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("killed", ["installer", "backend"])
    async def test_that_is_killed_halfway_leaves_the_old_or_the_new(
        self, before: Release, pool: AsyncConnectionPool, empty: Psql, killed: str
    ) -> None:
        before.install(empty.dsn)
        old = objects(empty)

        with psycopg.connect(empty.dsn) as holder:
            # The installation has migrated the tables and stops at a function.
            ((source,),) = empty.rows(
                "SELECT pg_get_functiondef('oban_workflow_status_v1'::regproc)"
            )
            holder.execute(source.encode())
            installer = Release(PACKAGE.parent).start(empty.dsn, "-m", "oban_pro", "install")
            waiting: list[int] = []

            def halfway() -> bool:
                waiting[:] = [
                    pid
                    for (pid,) in empty.rows(
                        "SELECT pid FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
                    )
                ]
                return bool(waiting)

            wait(halfway)

            if killed == "backend":
                empty.rows("SELECT pg_terminate_backend(%s)", waiting)
            else:
                installer.kill()

            holder.commit()

        installer.communicate(timeout=50)
        gone = "SELECT FROM pg_stat_activity WHERE pid = ANY(%s)"
        wait(lambda: not empty.rows(gone, [waiting]))
        left = objects(empty)
        await schema.install(pool)
        new = objects(empty)
        assert left == old if killed == "backend" else left in (old, new)
        assert old != new
