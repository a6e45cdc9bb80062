"""The commands that change workflows."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest
from click.testing import CliRunner, Result
from oban import Oban
from oban.oban import _instances
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.cli import main
from oban_pro.testing import run_workflow
from tests.graphs import diamond, work


@pytest.fixture(autouse=True)
def instances() -> Iterator[None]:
    """Forget the instances that commands registered in this process."""
    yield
    _instances.clear()


def invoke(dsn: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"OBAN_DSN": dsn})


def counts(dsn: str, id: str = "w") -> dict[str, int]:
    shown: Any = orjson.loads(invoke(dsn, "show", id, "--json").stdout)

    return dict(shown["counts"])


def arrange(dsn: str, workflow: Workflow, *, run: bool = False) -> None:
    async def enqueue() -> None:
        async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
            oban = Oban(pool=pool)

            if run:
                await run_workflow(workflow, with_safety=True)
            else:
                await oban.enqueue_many(workflow)

    asyncio.run(enqueue())


class TestCancel:
    def test_cancels_all_that_is_open(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        done = invoke(dsn, "cancel", "w")
        assert (done.exit_code, done.stdout) == (0, "Cancelled 4 jobs of workflow w.\n")
        assert counts(dsn) == {"cancelled": 4}
        assert invoke(dsn, "cancel", "w").stdout == "Cancelled 0 jobs of workflow w.\n"

    def test_takes_names_of_jobs_and_groups_and_paths(self, dsn: str) -> None:
        sub = Workflow().add_workflow("deep", diamond())
        workflow = (
            Workflow(id="w")
            .add("a", work())
            .add_many("many", [work(), work()])
            .add_workflow("sub", sub)
        )
        arrange(dsn, workflow)
        done = invoke(dsn, "cancel", "w", "many", "sub/deep/left")
        assert done.stdout == "Cancelled 3 jobs of workflow w.\n"
        # What depends on "left" follows.
        assert counts(dsn) == {"available": 2, "suspended": 1, "cancelled": 4}

    def test_changes_nothing_when_one_name_is_unknown(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        done = invoke(dsn, "cancel", "w", "start", "rihgt")
        assert done.exit_code == 1
        assert done.stderr == (
            "Error: there is nothing named 'rihgt' in workflow 'w'; did you mean 'right'?\n"
        )
        assert counts(dsn) == {"available": 1, "suspended": 3}


class TestRetry:
    def test_runs_what_failed_again(self, dsn: str) -> None:
        workflow = (
            Workflow(id="w").add("a", work("fail", max_attempts=1)).add("b", work(), deps="a")
        )
        arrange(dsn, workflow, run=True)
        assert counts(dsn) == {"discarded": 1, "cancelled": 1}
        done = invoke(dsn, "retry", "w")
        assert (done.exit_code, done.stdout) == (0, "Retried 2 jobs of workflow w.\n")
        assert counts(dsn) == {"available": 1, "suspended": 1}

    def test_takes_names(self, dsn: str) -> None:
        arrange(dsn, Workflow(id="w").add_workflow("sub", diamond()), run=True)
        done = invoke(dsn, "retry", "w", "sub/start")
        assert done.stdout == "Retried 1 job of workflow w.\n"
        assert counts(dsn) == {"available": 1, "completed": 3}


class TestDoctor:
    def break_books(self, dsn: str) -> None:
        with psycopg.connect(dsn) as conn:
            conn.execute("UPDATE oban_workflow_groups SET suspended = 7 WHERE id = 'w'")

    def test_finds_nothing_wrong(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        done = invoke(dsn, "doctor")
        assert (done.exit_code, done.stdout) == (0, "Everything is right.\n")
        done = invoke(dsn, "doctor", "w", "--json")
        assert done.exit_code == 0
        assert orjson.loads(done.stdout) == {"differences": [], "mended": None, "left": []}

    def test_reports_what_is_wrong_and_leaves_it(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        self.break_books(dsn)

        for _ in range(2):
            done = invoke(dsn, "doctor")
            assert done.exit_code == 1
            lines = [line.rstrip() for line in done.stdout.splitlines()]
            assert lines[0].split() == ["Workflow", "Name", "Field", "Stored", "Actual"]
            assert lines[1].split() == ["w", "suspended", "7", "3"]
            assert lines[-1] == "1 difference. Mend with --repair."

    def test_looks_at_one_workflow_alone(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        arrange(dsn, diamond(id="good"))
        self.break_books(dsn)
        assert invoke(dsn, "doctor", "good").exit_code == 0
        assert invoke(dsn, "doctor", "w").exit_code == 1

    def test_mends(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        self.break_books(dsn)
        done = invoke(dsn, "doctor", "--repair")
        assert done.exit_code == 0
        assert done.stdout.splitlines()[-1] == "Mended 1 row."
        assert invoke(dsn, "doctor").exit_code == 0

    def test_prints_json(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        self.break_books(dsn)
        done = invoke(dsn, "doctor", "--repair", "--json")
        assert done.exit_code == 0
        assert orjson.loads(done.stdout) == {
            "differences": [
                {
                    "root_id": "w",
                    "workflow_id": "w",
                    "name": None,
                    "field": "suspended",
                    "stored": "7",
                    "actual": "3",
                }
            ],
            "mended": 1,
            "left": [],
        }
