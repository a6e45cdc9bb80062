"""The demo with real worker processes, on site-packages made by hand."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from oban_pro.embedded import Postgres
from tests.support.cli import run_cli, start_cli
from tests.support.fixtures import WaitUntil
from tests.support.sites import add_distribution, recorded_hash

pytestmark = pytest.mark.slow

MANY = 32
HASHED_IN = 0.04  # seconds that this machine takes for one of the many files


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Provide three small distributions."""
    folder = tmp_path / "site"
    add_distribution(folder, "alpha", {"alpha.py": b"a = 1\n", "alpha/extra.py": b"b = 2\n"})
    add_distribution(folder, "beta", {"beta.py": b"c = 3\n"}, metadata="License: BSD-3-Clause")
    add_distribution(folder, "gamma", {"gamma.py": b"d = 4\n" * 100})

    return folder


@pytest.fixture(scope="module")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide distributions that keep two processes busy for a while."""
    folder = tmp_path_factory.mktemp("large")
    size = _hashed_within(HASHED_IN)
    digest = recorded_hash(bytes(size))

    for number in range(MANY):
        name = f"{number}.bin"
        # All hole: it takes time to hash and no space.
        (folder / name).touch()
        os.truncate(folder / name, size)
        add_distribution(folder, f"dist{number}", {}, record=f"{name},{digest},{size}")

    return folder


def _hashed_within(seconds: float) -> int:
    sample = bytes(10_000_000)
    start = time.perf_counter()
    recorded_hash(sample)

    return int(len(sample) * seconds / (time.perf_counter() - start))


@pytest.fixture
def jobs(dsn: str) -> Iterator[Callable[[], list[Any]]]:
    """Provide a look at all jobs in the database, by id."""
    with psycopg.connect(dsn, autocommit=True, row_factory=namedtuple_row) as conn:
        yield lambda: conn.execute(
            "SELECT id, state, attempt, attempted_at, attempted_by[1] AS node, worker"
            " FROM oban_jobs ORDER BY id"
        ).fetchall()


@pytest.fixture
def start_demo(
    dsn: str, large_site: Path, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start demos on the large site; the end of the test kills them."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        options = ["demo", "--path", str(large_site), *arguments]
        started.append(start_cli(*options, cwd=tmp_path, dsn=dsn))

        return started[-1]

    yield start

    for process in started:
        process.kill()
        process.communicate()


def completed(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row.state == "completed"]


def child_of(process: subprocess.Popen[str]) -> int:
    return int(subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True))


def report_of(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


async def finish(process: subprocess.Popen[str]) -> str:
    output, _ = await asyncio.to_thread(process.communicate, timeout=50)

    return output


class TestAudit:
    def test_passes_a_sound_environment(self, dsn: str, site: Path, tmp_path: Path) -> None:
        options = ["--id", "sound", "--path", str(site), "--output", "out"]
        done = run_cli("demo", *options, cwd=tmp_path, dsn=dsn)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Workflow sound is completed: 8 jobs" in done.stdout
        report = report_of(tmp_path / "out")
        assert report["passed"]
        assert (report["distributions"], report["files"], report["unhashed"]) == (3, 4, 3)
        assert report["licences"] == {"MIT": ["alpha", "gamma"], "BSD-3-Clause": ["beta"]}
        assert next(iter(report["biggest"])) == "gamma"

    def test_names_corrupted_and_missing_files(self, dsn: str, site: Path, tmp_path: Path) -> None:
        (site / "alpha" / "extra.py").write_bytes(b"b = 3\n")
        (site / "beta.py").unlink()
        done = run_cli("demo", "--id", "broken", "--path", str(site), cwd=tmp_path, dsn=dsn)
        assert done.returncode == 1, done.stdout + done.stderr
        report = report_of(tmp_path / ".demo" / "broken")
        assert not report["passed"]
        assert report["mismatched"] == {"alpha": ["alpha/extra.py"]}
        assert report["missing"] == {"beta": ["beta.py"]}
        written = (tmp_path / ".demo" / "broken" / "report.md").read_text()

        for text in (written, done.stdout):
            assert "alpha/extra.py" in text
            assert "beta.py" in text

    def test_passes_where_nothing_is_installed(self, dsn: str, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        done = run_cli("demo", "--path", "empty", cwd=tmp_path, dsn=dsn)
        assert done.returncode == 0, done.stdout + done.stderr


class TestEmbeddedDatabase:
    def test_runs_whatever_code_the_settings_permit(self, dsn: str, tmp_path: Path) -> None:
        (tmp_path / "workflows.toml").write_text('modules = ["shop"]', "utf-8")
        (tmp_path / "empty").mkdir()
        done = run_cli("demo", "--path", "empty", cwd=tmp_path, dsn=dsn)
        assert done.returncode == 0, done.stderr

    def test_is_kept_so_that_the_same_id_runs_once(self, site: Path, tmp_path: Path) -> None:
        first, second = (
            run_cli("demo", "--id=kept", "--prefix=jobs", f"--path={site}", cwd=tmp_path)
            for _ in range(2)
        )
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr

        with (
            Postgres(tmp_path / ".demo" / "postgres") as server,
            psycopg.connect(server.dsn()) as conn,
        ):
            rows = conn.execute("SELECT state::text, attempt FROM jobs.oban_jobs").fetchall()

        assert rows == [("completed", 1)] * 8


class TestWorkers:
    async def test_several_workers_share_the_jobs(
        self,
        start_demo: Callable[..., subprocess.Popen[str]],
        jobs: Callable[[], list[Any]],
        dsn: str,
        wait_until: WaitUntil,
    ) -> None:
        demo = start_demo("--workers", "2")
        first = (await wait_until(jobs, timeout=30))[0].id

        with psycopg.connect(dsn) as conn:
            # Nobody begins before both are there.
            conn.execute("SELECT FROM oban_jobs WHERE id = %s FOR UPDATE", [first])
            await wait_until(
                lambda: conn.execute("SELECT FROM oban_producers").rowcount == 2, timeout=30
            )

        output = await finish(demo)
        assert demo.returncode == 0, output
        assert len({row.node for row in jobs()}) == 2

    async def test_are_replaced_when_killed(
        self,
        start_demo: Callable[..., subprocess.Popen[str]],
        jobs: Callable[[], list[Any]],
        wait_until: WaitUntil,
    ) -> None:
        demo = start_demo()
        await wait_until(
            lambda: [row for row in jobs() if row.state == "executing"][2:], timeout=30
        )
        os.kill(child_of(demo), signal.SIGKILL)
        output = await finish(demo)
        assert demo.returncode == 0, output
        assert len({row.node for row in jobs()}) == 2
        assert {row.attempt for row in jobs()} == {1}


class TestResume:
    async def test_goes_on_where_an_interruption_left_it(
        self,
        start_demo: Callable[..., subprocess.Popen[str]],
        jobs: Callable[[], list[Any]],
        wait_until: WaitUntil,
    ) -> None:
        first = start_demo("--id", "again", "--workers", "2")
        await wait_until(lambda: completed(jobs())[3:], timeout=30)
        first.send_signal(signal.SIGINT)
        output = await finish(first)
        assert first.returncode == 130, output
        assert "demo --path" in output
        assert "--id again" in output
        before = jobs()
        assert not [row for row in before if row.state == "executing"]
        assert 3 < len(completed(before)) < len(before)

        second = start_demo("--id", "again")
        output = await finish(second)
        assert second.returncode == 0, output
        after = jobs()
        assert {row.state for row in after} == {"completed"}
        assert [row.id for row in after] == [row.id for row in before]
        assert set(completed(before)) <= set(after)
        assert {row.attempt for row in after} == {1}

    async def test_goes_on_after_it_was_killed(
        self,
        start_demo: Callable[..., subprocess.Popen[str]],
        jobs: Callable[[], list[Any]],
        wait_until: WaitUntil,
    ) -> None:
        first = start_demo("--id", "again")
        await wait_until(lambda: completed(jobs())[3:], timeout=30)
        first.kill()
        await finish(first)
        assert len(completed(jobs())) < len(jobs())

        second = start_demo("--id", "again")
        output = await finish(second)
        assert second.returncode == 0, output
        assert {row.state for row in jobs()} == {"completed"}

    async def test_refuses_to_run_one_id_twice_at_a_time(
        self,
        start_demo: Callable[..., subprocess.Popen[str]],
        jobs: Callable[[], list[Any]],
        wait_until: WaitUntil,
    ) -> None:
        start_demo("--id", "again")
        await wait_until(jobs, timeout=30)
        second = start_demo("--id", "again")
        assert "again" in await finish(second)
        assert second.returncode == 2

    def test_refuses_to_go_on_with_something_else(
        self, dsn: str, site: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "other").mkdir()
        run_cli("demo", "--id", "again", "--path", str(site), cwd=tmp_path, dsn=dsn)
        done = run_cli("demo", "--id", "again", "--path", "other", cwd=tmp_path, dsn=dsn)
        assert done.returncode == 2
        assert done.stderr.startswith("Error: ")
        assert str(site) in done.stderr


class TestFailure:
    def test_ends_with_2_and_one_line_without_a_database(self, site: Path, tmp_path: Path) -> None:
        unreachable = "postgresql://nobody@127.0.0.1:1/nowhere"
        done = run_cli("demo", "--path", str(site), cwd=tmp_path, dsn=unreachable)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize("id", ["", "a/b", "-a", "x" * 65])
    def test_refuses_an_id_that_cannot_name_a_folder(self, id: str, tmp_path: Path) -> None:
        done = run_cli("demo", f"--id={id}", cwd=tmp_path)
        assert done.returncode == 2
        assert repr(id) in done.stderr
