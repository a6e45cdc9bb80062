"""Packages of several versions on one database: what each may install, and run on."""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from oban import Oban
from oban import schema as oban_schema
from psycopg_pool import AsyncConnectionPool

import oban_pro
from oban_pro import schema
from oban_pro.errors import SchemaError, SchemaVersionError
from oban_pro.sql.installing import release_of
from tests.support.databases import Psql
from tests.support.fixtures import WaitUntil
from tests.support.graphs import diamond, settled, work
from tests.support.releases import Release, make_release

pytestmark = pytest.mark.slow

INSTALLED = "SELECT package FROM oban_workflow_installed_v1()"
COMMENT = "SELECT prosrc ~ 'another release' FROM pg_proc WHERE proname = 'oban_workflow_release'"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_release(tmp_path_factory.mktemp("newer"), "0.10.0")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return make_release(tmp_path_factory.mktemp("older"), "0.0.9")


@pytest.fixture
async def pool(empty_dsn: str) -> AsyncIterator[AsyncConnectionPool]:
    """Provide a pool on a database with nothing in it."""
    async with AsyncConnectionPool(empty_dsn, min_size=1, max_size=10, open=False) as pool:
        yield pool


@pytest.fixture
def empty(empty_dsn: str) -> Psql:
    return Psql(empty_dsn)


class TestReleases:
    @pytest.mark.parametrize(
        ("older", "newer"),
        [("0.9.0", "0.10.0"), ("0.1.0", "1.0"), ("1.0.0", "1.0.1"), ("2.0.0", "10.0.0.dev1")],
    )
    def test_are_compared_by_their_numbers(self, older: str, newer: str) -> None:
        assert release_of(older) < release_of(newer)


class TestInstall:
    async def test_records_which_version_made_the_functions(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        assert empty.rows(INSTALLED) == [(oban_pro.__version__,)]

    async def test_of_a_newer_package_replaces_functions(
        self, pool: AsyncConnectionPool, empty: Psql, newer: Release
    ) -> None:
        await schema.install(pool)
        newer.install(empty.dsn)
        assert empty.rows(INSTALLED) == [("0.10.0",)]
        assert empty.rows(COMMENT) == [(True,)]

    async def test_of_an_older_package_is_refused_and_names_both_versions(
        self, pool: AsyncConnectionPool, empty: Psql, newer: Release
    ) -> None:
        newer.install(empty.dsn)

        with pytest.raises(SchemaVersionError) as raised:
            await schema.install(pool)

        assert "installed by 0.10.0" in str(raised.value)
        assert f"({oban_pro.__version__})" in str(raised.value)
        assert "oban-workflows install --force" in str(raised.value)
        assert empty.rows(COMMENT) == [(True,)]

    async def test_of_an_older_package_can_be_forced(
        self, pool: AsyncConnectionPool, empty: Psql, newer: Release
    ) -> None:
        newer.install(empty.dsn)
        await schema.install(pool, force=True)
        assert empty.rows(INSTALLED) == [(oban_pro.__version__,)]
        assert empty.rows(COMMENT) == [(False,)]
        newer.install(empty.dsn)
        assert empty.rows(COMMENT) == [(True,)]

    async def test_can_be_forced_below_newer_tables(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        newer = schema.VERSION + 1
        empty.rows(f"INSERT INTO oban_workflow_migrations (version) VALUES ({newer})")

        with pytest.raises(SchemaVersionError, match=f"is at version {newer}"):
            await schema.install(pool)

        await schema.install(pool, force=True)
        assert empty.rows("SELECT tables FROM oban_workflow_installed_v1()") == [(newer,)]
        await Oban(pool=pool).enqueue_many(diamond())

    async def test_by_another_build_of_the_same_version_replaces_functions(
        self, pool: AsyncConnectionPool, empty: Psql, tmp_path: Path
    ) -> None:
        same = make_release(tmp_path, oban_pro.__version__)
        await schema.install(pool)
        same.install(empty.dsn)
        assert empty.rows(COMMENT) == [(True,)]
        await schema.install(pool)
        assert empty.rows(COMMENT) == [(False,)]


class TestNode:
    async def test_does_not_start_on_functions_of_an_older_package(
        self, pool: AsyncConnectionPool, empty: Psql, older: Release
    ) -> None:
        older.install(empty.dsn)
        insert = "INSERT INTO oban_jobs (worker, state) VALUES ('plain', 'available')"
        empty.rows(insert)

        with pytest.raises(SchemaVersionError) as raised:
            await Oban(pool=pool, queues={"default": 1}).start()

        assert "oban-workflows 0.0.9, older than" in str(raised.value)
        assert "run: oban-workflows install --prefix public" in str(raised.value)
        assert empty.rows("SELECT state::text, attempt FROM oban_jobs") == [("available", 0)]
        await schema.install(pool)
        oban = await Oban(pool=pool, queues={"default": 1}).start()
        await oban.stop()

    @pytest.mark.parametrize("function", ["ack_v1", "installed_v1", "contexts_v1"])
    async def test_does_not_start_where_a_function_is_missing(
        self, pool: AsyncConnectionPool, empty: Psql, function: str
    ) -> None:
        await schema.install(pool)
        empty.rows(f"DROP FUNCTION oban_workflow_{function}")

        with pytest.raises(SchemaVersionError, match="is missing; run: oban-workflows install"):
            await Oban(pool=pool, queues={"default": 1}).start()

    async def test_does_not_start_on_older_tables(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        empty.rows("DELETE FROM oban_workflow_migrations WHERE version > 4")

        with pytest.raises(SchemaVersionError, match="are at version 4, this package needs"):
            await Oban(pool=pool, queues={"default": 1}).start()

    async def test_without_queues_starts_and_says_so_when_it_inserts(
        self, pool: AsyncConnectionPool, empty: Psql, older: Release
    ) -> None:
        older.install(empty.dsn)

        async with Oban(pool=pool) as oban:
            with pytest.raises(SchemaVersionError, match="older than"):
                await oban.enqueue_many(diamond())

    async def test_runs_plain_jobs_where_nothing_is_installed(
        self, pool: AsyncConnectionPool, empty: Psql, wait_until: WaitUntil
    ) -> None:
        await oban_schema.install(pool)

        async with Oban(pool=pool, queues={"default": 1}, stager={"interval": 0.05}) as oban:
            await oban.enqueue_many([work()])
            done = "SELECT FROM oban_jobs WHERE state = 'completed'"
            await wait_until(lambda: empty.rows(done))

            with pytest.raises(SchemaError, match="are missing"):
                await oban.enqueue_many(diamond())

    async def test_runs_on_functions_of_a_newer_package_and_logs_it(
        self,
        pool: AsyncConnectionPool,
        empty: Psql,
        newer: Release,
        wait_until: WaitUntil,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        newer.install(empty.dsn)
        workflow = diamond()

        with caplog.at_level(logging.INFO, "oban_pro"):
            async with Oban(pool=pool, queues={"default": 5}, stager={"interval": 0.05}) as oban:
                await oban.enqueue_many(workflow)
                await wait_until(lambda: settled(workflow))

        (said,) = [one.message for one in caplog.records if one.name == "oban_pro.schema"]
        assert said.endswith(f"0.10.0, newer than {oban_pro.__version__} of this node")
        assert (await workflow.status()).counts == {"completed": 4}

    async def test_is_refused_by_tables_that_need_newer_nodes(
        self, pool: AsyncConnectionPool, empty: Psql
    ) -> None:
        await schema.install(pool)
        newer = schema.VERSION + 1
        source = empty.rows("SELECT pg_get_functiondef('oban_workflow_installed_v1'::regproc)")
        changed = re.sub(r"\d+,\n +\d+\n", f"{newer},\n {newer}\n", source[0][0])
        assert changed != source[0][0]
        empty.rows(changed)
        empty.rows(f"INSERT INTO oban_workflow_migrations (version) VALUES ({newer})")

        with pytest.raises(SchemaVersionError, match=r"newer than \d+ of this package; upgrade"):
            await Oban(pool=pool, queues={"default": 1}).start()
