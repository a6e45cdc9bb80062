"""The connection string that functions connect with themselves."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from oban import Oban, current_job
from oban.oban import _instances
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

import oban_pro
from oban_pro import Workflow
from oban_pro.errors import InvalidDsnError
from tests.support.fixtures import Run, StartOban


def database_of_own() -> str:
    with psycopg.connect(oban_pro.dsn()) as conn:
        row = conn.execute("SELECT current_database()").fetchone()
        assert row is not None

        return str(row[0])


async def database() -> str:
    assert current_job() is not None

    async with await psycopg.AsyncConnection.connect(oban_pro.dsn()) as conn:
        cursor = await conn.execute("SELECT current_database()")
        row = await cursor.fetchone()
        assert row is not None

        return str(row[0])


@pytest.fixture(autouse=True)
def no_instances() -> Iterator[None]:
    """Forget the instances that a test has made and not started."""
    before = {*_instances}
    yield

    for name in _instances.keys() - before:
        del _instances[name]


class TestDsn:
    async def test_leads_to_the_database_of_the_node_in_a_job(self, dsn: str, run: Run) -> None:
        workflow = Workflow()
        workflow.call(database)
        workflow.call(database_of_own)

        name = conninfo_to_dict(dsn)["dbname"]
        assert await run(workflow) == {"database": name, "database_of_own": name}

    async def test_is_that_of_the_node_that_runs_the_job_and_no_other(
        self, dsn: str, start_oban: StartOban
    ) -> None:
        other = AsyncConnectionPool(make_conninfo(dsn, dbname="elsewhere"), open=False)
        Oban(pool=other, name="elsewhere")
        oban = await start_oban({"default": 1})
        workflow = Workflow()
        told = workflow.call(database)
        await oban.enqueue_many(workflow)

        assert await workflow.result(told, timeout=30) == conninfo_to_dict(dsn)["dbname"]
        assert conninfo_to_dict(oban_pro.dsn("elsewhere"))["dbname"] == "elsewhere"

    @pytest.mark.parametrize("kwargs", [{}, {"password": "s/cret", "autocommit": True}])
    def test_has_what_the_pool_adds(self, dsn: str, kwargs: dict[str, Any]) -> None:
        Oban(pool=AsyncConnectionPool(dsn, kwargs=kwargs, open=False), name="own")
        found = conninfo_to_dict(oban_pro.dsn("own"))

        assert found.get("password") == kwargs.get("password")
        assert "autocommit" not in found

    def test_that_is_computed_is_refused(self, dsn: str) -> None:
        async def compute() -> str:
            return dsn

        Oban(pool=AsyncConnectionPool(compute, open=False), name="computed")

        with pytest.raises(InvalidDsnError, match="computes how to connect"):
            oban_pro.dsn("computed")

    def test_comes_from_the_configuration_beside(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OBAN_DSN", raising=False)
        program = "import oban_pro; print(oban_pro.dsn())"

        def run(**variables: str) -> subprocess.CompletedProcess[str]:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)

            return subprocess.run(
                [sys.executable, "-c", program],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )

        refused = run()
        assert refused.returncode == 1
        assert "a connection string must be known: inside a job" in refused.stderr
        (tmp_path / "oban.toml").write_text('dsn = "postgresql://file/db"\n')
        assert run().stdout == "postgresql://file/db\n"
        assert run(OBAN_DSN="postgresql://variable/db").stdout == "postgresql://variable/db\n"
