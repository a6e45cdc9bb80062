"""The commands that change workflows."""

import asyncio
from typing import Any

import orjson
import psycopg
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.testing import run_workflow
from tests.support.cli import invoke
from tests.support.graphs import diamond, work


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

    def test_tells_who_and_why(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        done = invoke(dsn, "cancel", "w", "start", "--by", "ada", "--reason", "wrong year")
        assert done.exit_code == 0
        explained = invoke(dsn, "explain", "w", "start").stdout
        assert "Job 'start' was cancelled by ada: wrong year." in explained

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


class TestPause:
    def test_holds_a_workflow_or_a_part_of_it_back_until_it_is_resumed(self, dsn: str) -> None:
        arrange(dsn, Workflow(id="w").add("a", work()).add_many("many", [work(), work()]))
        done = invoke(dsn, "pause", "w", "many", "--until", "2999-01-01T00:00Z")
        assert done.stdout == "Paused many of workflow w; 2 jobs held back.\n"
        done = invoke(dsn, "pause", "w", "--by", "ada")
        assert done.stdout == "Paused workflow w; 1 job held back.\n"
        assert counts(dsn) == {"suspended": 3}

        shown: Any = orjson.loads(invoke(dsn, "show", "w", "--json").stdout)
        assert shown["paused_by"] == "ada"
        assert shown["paused_at"] is not None
        assert shown["subs"]["many"]["paused_at"] is not None
        assert ", paused since " in (text := invoke(dsn, "show", "w").stdout)
        assert " by ada." in text

        done = invoke(dsn, "resume", "w")
        assert done.stdout == "Resumed workflow w; 1 job brought back.\n"
        done = invoke(dsn, "resume", "w", "many")
        assert done.stdout == "Resumed many of workflow w; 2 jobs brought back.\n"
        assert counts(dsn) == {"available": 3}

    def test_says_why_it_cannot(self, dsn: str) -> None:
        arrange(dsn, Workflow(id="w").add("a", work()).add("b", work()))
        invoke(dsn, "cancel", "w", "a")
        done = invoke(dsn, "pause", "w", "a")
        assert (done.exit_code, done.stderr) == (
            1,
            "Error: nothing of it is left to be paused: it is cancelled\n",
        )
        assert "did you mean 'a'" in invoke(dsn, "pause", "w", "aa").stderr
        assert "did you mean 'a'" in invoke(dsn, "resume", "w", "aa").stderr

        for time in ("tomorrow", "2999-01-01T00:00"):
            done = invoke(dsn, "pause", "w", "--until", time)
            assert done.exit_code == 2
            assert "must be a time with a timezone" in done.stderr


class TestLimit:
    def test_sets_how_many_may_be_open(self, dsn: str) -> None:
        arrange(dsn, Workflow(id="w").add_many("many", [work() for _ in range(5)], limit=1))
        done = invoke(dsn, "limit", "w", "many", "3")
        assert (done.exit_code, done.stdout) == (
            0,
            "Limited many of workflow w to at most 3 at once.\n",
        )
        assert counts(dsn) == {"available": 3, "suspended": 2}
        assert "at most 3 at once" in invoke(dsn, "show", "w").stdout
        done = invoke(dsn, "limit", "w", "many", "none")
        assert done.stdout == "Limited many of workflow w to any number at once.\n"
        assert counts(dsn) == {"available": 5}

    def test_refuses_what_is_no_number_or_no_fan_out(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        assert invoke(dsn, "limit", "w", "start", "-x").exit_code == 2
        done = invoke(dsn, "limit", "w", "start", "1")
        assert done.exit_code == 1
        assert "'start' of workflow 'w' is no fan-out" in done.stderr


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

    def test_retry_takes_names_of_jobs(self, dsn: str) -> None:
        arrange(dsn, Workflow(id="w").add_workflow("sub", diamond()), run=True)
        done = invoke(dsn, "retry", "w", "sub/start")
        assert done.stdout == "Retried 1 job of workflow w.\n"
        assert counts(dsn) == {"available": 1, "completed": 3}

    def test_takes_what_depends_on_the_names_along(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"), run=True)
        done = invoke(dsn, "retry", "w", "left", "--downstream")
        assert done.stdout == "Retried 2 jobs of workflow w.\n"
        assert counts(dsn) == {"available": 1, "suspended": 1, "completed": 2}

    def test_takes_nothing_along_without_names(self, dsn: str) -> None:
        done = invoke(dsn, "retry", "w", "--downstream")
        assert done.exit_code == 2
        assert "--downstream needs NAMES" in done.stderr


class TestDoctor:
    def break_books(self, dsn: str) -> None:
        with psycopg.connect(dsn) as conn:
            conn.execute("UPDATE oban_workflow_groups SET suspended = 7 WHERE id = 'w'")

    def test_the_doctor_finds_nothing_wrong_with_right_books(self, dsn: str) -> None:
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

    def test_the_doctor_mends_broken_books(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))
        self.break_books(dsn)
        done = invoke(dsn, "doctor", "--repair")
        assert done.exit_code == 0
        assert done.stdout.splitlines()[-1] == "Mended 1 row."
        assert invoke(dsn, "doctor").exit_code == 0

    def test_says_what_it_cannot_know(self, dsn: str) -> None:
        arrange(dsn, diamond(id="w"))

        with psycopg.connect(dsn) as conn:
            conn.execute("SET session_replication_role = replica")
            conn.execute("DELETE FROM oban_jobs WHERE meta ->> 'name' = 'left'")

        done = invoke(dsn, "doctor", "--repair")
        assert done.exit_code == 1
        text = " ".join(done.stdout.split())
        assert "w left gone unknown" in text
        assert "The row of 1 job is gone, and nobody knows how it ended." in text
        assert text.endswith("Mended 1 row; 1 difference left.")
        done = invoke(dsn, "explain", "w", "end")
        assert "job 'left' is gone, and nobody knows how it ended" in done.stdout

    def test_the_doctor_prints_differences_as_json(self, dsn: str) -> None:
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
