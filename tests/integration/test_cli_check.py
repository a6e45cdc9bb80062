"""What `oban-workflows check` finds: code that open jobs name and this environment lacks."""

import asyncio
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from oban import Job, Oban
from psycopg import AsyncConnection

from oban_pro import Workflow, settings
from oban_pro.building.cascades import CASCADE_WORKER
from tests.support.cli import assert_one_line, invoke
from tests.support.graphs import work

CODE = """
print("imported")

class Idle: ...

class Picky:
    def __init__(self, more): ...
    async def process(self, job): ...

def charge(context): ...
def item(item, context): ...
def called(number, *, more): ...
def backoff(job): ...
"""


@pytest.fixture(autouse=True)
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a module with some code, and a broken one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "checked.py").write_text(CODE, "utf-8")
    (tmp_path / "checked_broken.py").write_text("raise SystemExit(3)", "utf-8")
    importlib.invalidate_caches()
    yield
    sys.modules.pop("checked", None)


def cascade(function: str, **args: Any) -> Job:
    return Job(CASCADE_WORKER, args={"function": function, **args})


def is_asked(context: Any) -> bool:
    return True


async def insert(oban: Oban, *jobs: Job) -> None:
    workflow = Workflow()

    for number, job in enumerate(jobs):
        workflow.add(f"{number}", job, deps=f"{number - 1}" if number else ())

    await oban.enqueue_many(workflow)


async def check(dsn: str, *options: str) -> Result:
    return await asyncio.to_thread(invoke, dsn, "check", *options)


async def missing(dsn: str, *options: str) -> list[dict[str, Any]]:
    done = await check(dsn, "--json", *options)
    found: list[dict[str, Any]] = json.loads(done.stdout)["missing"]
    assert done.exit_code == (1 if found else 0)

    return found


class TestCheck:
    async def test_is_content_where_all_code_is_there(self, oban: Oban, dsn: str) -> None:
        await insert(
            oban,
            cascade("checked:charge", backoff="checked:backoff"),
            cascade("checked:item", item=1),
            cascade("checked:called", call=[[1], {"more": 2}]),
            work(),
        )
        done = await check(dsn)
        assert done.exit_code == 0
        assert done.stdout == ("All code is here: 6 paths that 4 open jobs and schedules name.\n")

    async def test_of_no_jobs_is_content(self, dsn: str) -> None:
        assert json.loads((await check(dsn, "--json")).stdout) == {
            "checked": 0,
            "jobs": 0,
            "missing": [],
        }

    async def test_names_what_is_missing_or_cannot_be_called(self, oban: Oban, dsn: str) -> None:
        # jobs that wait, and such as have no workflow, too
        await insert(
            oban,
            work(),
            cascade("checked:gone", backoff="checked:gone_too"),
            cascade("checked:charge", item=1),
            cascade("checked_broken:charge"),
            Job("checked.Idle"),
            Job("checked.Picky"),
        )
        await oban.enqueue_many([Job("nowhere.Worker", queue=queue) for queue in ("b", "a", "b")])
        found = {code["path"]: code for code in await missing(dsn)}
        assert {path: code["kind"] for path, code in found.items()} == {
            "checked.Idle": "worker",
            "checked.Picky": "worker",
            "checked:charge": "item",
            "checked:gone": "cascade",
            "checked:gone_too": "backoff",
            "checked_broken:charge": "cascade",
            "nowhere.Worker": "worker",
        }
        nowhere = found["nowhere.Worker"]
        assert (nowhere["jobs"], nowhere["queues"]) == (3, ["a", "b"])
        assert nowhere["job_id"] == 7
        assert "No module named 'nowhere'" in nowhere["error"]
        assert "must accept (item, context)" in found["checked:charge"]["error"]
        assert "SystemExit: 3" in found["checked_broken:charge"]["error"]
        assert "has no method process" in found["checked.Idle"]["error"]

        done = await check(dsn)
        assert done.exit_code == 1
        assert "imported" not in done.stdout
        assert done.stdout.splitlines()[-1] == "7 of 9 cannot be used here."

    async def test_check_reports_a_condition_whose_code_is_missing(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        await oban.enqueue_many(Workflow().add("a", work(), when=is_asked))
        assert await missing(dsn) == []
        await conn.execute(
            'UPDATE oban_jobs SET meta = meta || \'{"workflow_when": "checked:gone"}\''
        )
        ((path, kind),) = [(one["path"], one["kind"]) for one in await missing(dsn)]
        assert (path, kind) == ("checked:gone", "when")

    async def test_is_of_open_jobs(self, oban: Oban, conn: AsyncConnection, dsn: str) -> None:
        await oban.enqueue(Job("nowhere.Worker"))
        assert len(await missing(dsn)) == 1
        await conn.execute("UPDATE oban_jobs SET state = 'cancelled'")
        assert await missing(dsn) == []

    async def test_may_be_of_some_queues_and_ignore_paths(self, oban: Oban, dsn: str) -> None:
        await oban.enqueue_many(
            [Job("MyApp.Mailer", queue="elixir"), Job("nowhere.Worker", queue="python")]
        )
        assert len(await missing(dsn)) == 2
        assert [one["path"] for one in await missing(dsn, "--queues", "python:10,other")] == [
            "nowhere.Worker"
        ]
        assert await missing(dsn, "--ignore", "MyApp.*", "--ignore", "nowhere.Worker") == []

    async def test_goes_by_the_settings(self, oban: Oban, dsn: str, tmp_path: Path) -> None:
        await oban.enqueue_many([cascade("shop.old:charge"), Job("nowhere.Worker")])
        (tmp_path / "workflows.toml").write_text(
            'modules = ["checked"]\nschedules = ["checked", "no_such_module"]\n'
            '[renamed]\n"shop.old:charge" = "checked:charge"',
            "utf-8",
        )
        settings.reset()
        found = {code["path"]: code for code in await missing(dsn)}
        assert found.keys() == {"nowhere.Worker", "no_such_module"}
        assert "the setting modules permits only checked" in found["nowhere.Worker"]["error"]
        assert found["no_such_module"]["kind"] == "schedules"

    async def test_changes_nothing_and_needs_no_tables_of_ours(
        self, oban: Oban, conn: AsyncConnection, dsn: str
    ) -> None:
        await oban.enqueue(Job("nowhere.Worker"))
        # tables of another release; a standby
        await conn.execute("DROP TABLE oban_workflow_migrations")
        await conn.execute(
            f"ALTER DATABASE {conn.info.dbname} SET default_transaction_read_only = on"
        )
        assert len(await missing(dsn)) == 1

    def test_that_could_not_look_exits_with_2(self, dsn: str, tmp_path: Path) -> None:
        assert_one_line(invoke("postgresql://localhost:1/nowhere", "check"), 2)
        assert_one_line(invoke(dsn, "check", "--prefix", "nowhere"), 2)
        (tmp_path / "workflows.toml").write_text("modul = 1", "utf-8")
        assert_one_line(invoke(dsn, "check"), 2)

    def test_that_names_no_database_exits_with_2(self) -> None:
        assert_one_line(invoke("", "check"), 2)
