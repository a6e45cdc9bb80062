"""The pages on operating: their SQL, units and manifests are used as printed."""

import inspect
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from oban import Job, Oban, Worker, worker
from oban._producer import Producer
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oban_pro import Workflow
from oban_pro._plugin import oban_start, shutdown
from oban_pro.engine.connecting import make_pool
from tests.support.cli import environment
from tests.support.fixtures import StartOban, WaitUntil
from tests.support.page import blocks
from tests.support.paths import DOCS

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
"""Where commands are in the environment of the tests."""

FOLDER = DOCS / "operating"
STOP = FOLDER / "stop-and-probe.md"
DATABASE = FOLDER / "database.md"

STATEMENTS = [
    pytest.param(statement, id=f"{page.stem}-{number}")
    for page in sorted(FOLDER.glob("*.md"))
    for block in blocks(page)
    if block.language == "sql"
    for number, statement in enumerate(block.text.split(";\n"), start=block.line)
    if statement.strip()
]

CONSUMED = "SELECT pg_current_xact_id()"


def block_of(page: Path, language: str) -> str:
    (found,) = [block.text for block in blocks(page) if block.language == language]

    return found


def statements_of(page: Path) -> list[str]:
    return [block.text for block in blocks(page) if block.language == "sql"]


class Unit:
    """The unit of systemd on the page."""

    def __init__(self) -> None:
        self.text = block_of(STOP, "ini")
        parser = RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(self.text)
        self.service = dict(parser["Service"])
        self.command = [command(part) for part in shlex.split(self.service["ExecStart"])]
        self.environment = dict(
            pair.split("=", 1) for pair in re.findall("^Environment=(.*)$", self.text, re.MULTILINE)
        )


def command(part: str) -> str:
    """Return a command of the environment of the tests in place of one on the page."""
    name = Path(part).name

    return str(BIN / name) if name in ("oban", "oban-workflows") else part


def containers() -> dict[str, Any]:
    """Return the pods on the page, by name."""
    manifests = yaml.safe_load_all(block_of(STOP, "yaml"))

    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in manifests}


@contextmanager
def running(
    arguments: list[str], env: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, env=env, stdout=log, stderr=log)

    try:
        yield process
    finally:
        process.kill()
        process.wait()


def probe(arguments: list[str], env: dict[str, str]) -> int:
    done = subprocess.run(arguments, env=env, capture_output=True, check=False, timeout=30)

    return done.returncode


def becomes_healthy(arguments: list[str], env: dict[str, str]) -> bool:
    deadline = time.monotonic() + 30

    while probe(arguments, env) != 0:
        if time.monotonic() > deadline:
            return False

    return True


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))

        return int(listening.getsockname()[1])


class TestSql:
    @pytest.mark.parametrize("statement", STATEMENTS)
    async def test_the_sql_of_the_page_can_be_run(
        self, statement: str, conn: AsyncConnection
    ) -> None:
        role = re.search(r"ALTER ROLE (\w+)", statement)

        if role:
            await conn.execute(f"CREATE ROLE {role[1]}".encode())

        try:
            await conn.execute(statement.encode())
        finally:
            if role:
                await conn.execute(f"DROP ROLE {role[1]}".encode())

    async def test_shows_who_holds_an_old_snapshot(self, conn: AsyncConnection, dsn: str) -> None:
        watch = statements_of(DATABASE)[0]

        async with await AsyncConnection.connect(dsn, application_name="forgotten") as forgotten:
            await forgotten.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await forgotten.execute("SELECT FROM oban_jobs")

            for _ in range(20):
                await conn.execute(CONSUMED)

            rows = await (await conn.execute(watch.encode())).fetchall()
            found = {row[2]: row for row in rows}["forgotten"]
            assert found[0] == f"session {forgotten.info.backend_pid}"
            assert found[3] == "idle in transaction"
            assert found[4] >= 20

        rows = await (await conn.execute(watch.encode())).fetchall()
        assert "forgotten" not in {row[2] for row in rows}

    async def test_shows_who_holds_a_transaction_that_has_written(
        self, conn: AsyncConnection, dsn: str
    ) -> None:
        watch = statements_of(DATABASE)[0]

        async with await AsyncConnection.connect(dsn, application_name="writing") as writing:
            await writing.execute(CONSUMED)
            await conn.execute(CONSUMED)
            rows = await (await conn.execute(watch.encode())).fetchall()
            assert "writing" in {row[2] for row in rows}

    async def test_shows_rows_that_a_snapshot_keeps(
        self, conn: AsyncConnection, oban: Oban, dsn: str, wait_until: WaitUntil
    ) -> None:
        watch = statements_of(DATABASE)[1]
        await oban.enqueue_many([Job("none", queue="none") for _ in range(50)])

        async def dead() -> int:
            rows = await (await conn.execute(watch.encode())).fetchall()

            return {row[0]: int(row[2]) for row in rows}["oban_jobs"]

        async with await AsyncConnection.connect(dsn) as forgotten:
            await forgotten.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await forgotten.execute("SELECT FROM oban_jobs")
            await conn.execute("UPDATE oban_jobs SET priority = 1")
            await conn.execute("VACUUM oban_jobs")

            async def are_kept() -> bool:
                return await dead() >= 50

            await wait_until(are_kept)

        await conn.execute("VACUUM oban_jobs")

        async def are_gone() -> bool:
            return await dead() == 0

        await wait_until(are_gone)


class TestUnit:
    def test_is_one_for_systemd(self, tmp_path: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("systemd is not installed")

        unit = Unit()
        # What is on the page need not be on this machine.
        text = unit.text.replace(unit.service["ExecStart"], shlex.join(unit.command))
        path = tmp_path / "workers.service"
        path.write_text(text.replace("/srv/shop", str(tmp_path)), "utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_starts_a_node_that_ends_when_it_is_told(self, dsn: str, tmp_path: Path) -> None:
        unit = Unit()
        env = environment(dsn) | unit.environment | {"OBAN_DSN": dsn}

        with running(unit.command, env, tmp_path) as process:
            assert becomes_healthy([command("oban-workflows"), "health"], env)
            process.send_signal(signal.SIGTERM)
            assert process.wait(int(unit.service["TimeoutStopSec"])) == 0

    def test_gives_jobs_their_time(self) -> None:
        unit = Unit()
        grace = int(unit.environment["OBAN_SHUTDOWN_GRACE_PERIOD"])
        assert int(unit.service["TimeoutStopSec"]) > grace + oban_start.MARGIN
        # SIGTERM must not reach what jobs have started.
        assert unit.service["KillMode"] == "mixed"


class TestManifest:
    def test_has_a_probe_that_tells_of_its_own_node(self, dsn: str, tmp_path: Path) -> None:
        (container,) = containers()["workers"]["containers"]
        assert {one["name"] for one in container["env"]} >= {"OBAN_DSN", "OBAN_NODE"}
        env = environment(dsn) | {"OBAN_NODE": "workers-1"}
        probing = [command(part) for part in container["readinessProbe"]["exec"]["command"]]
        assert probe(probing, env) == 1

        with running([command(part) for part in container["command"]], env, tmp_path) as process:
            assert becomes_healthy(probing, env)
            assert probe(probing, env | {"OBAN_NODE": "workers-2"}) == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0

        assert probe(probing, env) == 1

    def test_gives_jobs_their_time(self) -> None:
        pod = containers()["workers"]
        (container,) = pod["containers"]
        values = {one["name"]: one.get("value") for one in container["env"]}
        grace = int(values["OBAN_SHUTDOWN_GRACE_PERIOD"])
        assert pod["terminationGracePeriodSeconds"] > grace + oban_start.MARGIN

    def test_has_a_dashboard_with_a_probe(self, dsn: str, tmp_path: Path) -> None:
        (container,) = containers()["dashboard"]["containers"]
        asked = container["readinessProbe"]["httpGet"]
        port = str(free_port())
        serving = [port if part == str(asked["port"]) else part for part in container["command"]]
        assert port in serving
        deadline = time.monotonic() + 30

        with running([command(part) for part in serving], environment(dsn), tmp_path) as process:
            while True:
                try:
                    answer = httpx.get(f"http://127.0.0.1:{port}{asked['path']}")
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline
                    assert process.poll() is None

            assert answer.status_code == 200


class TestFigures:
    def test_are_those_of_the_code(self) -> None:
        text = " ".join(STOP.read_text("utf-8").split())
        grace = inspect.signature(Producer).parameters["shutdown_grace_period"].default
        assert f"The grace period is {grace:g} seconds" in text
        assert (oban_start.MARGIN, shutdown.CLEAN_UP, oban_start.TWICE) == (10, 2, 1)
        assert "ten seconds more than the grace period" in text
        assert "has two more seconds" in text
        assert "more than a second later" in text

    async def test_of_connections_are_those_that_nodes_open(self, dsn: str) -> None:
        text = " ".join(DATABASE.read_text("utf-8").split())

        async with await Oban.create_pool(dsn) as pool:
            each = pool.max_size + 2

        assert f"three nodes with the defaults need {3 * each} connections" in text
        # and a connection that listens
        assert make_pool("").max_size + 1 == 5
        assert "needs up to five" in text

    async def test_of_tcp_are_parameters_that_libpq_knows(self, dsn: str) -> None:
        (found,) = re.findall(r"`\?(connect_timeout\S*?)`", DATABASE.read_text("utf-8"))
        parameters = conninfo_to_dict(f"postgresql://?{found}")

        async with await AsyncConnection.connect(make_conninfo(dsn, **parameters)) as conn:
            await conn.execute("SELECT")


@worker()
class Renamed(Worker):
    """Has a second name."""

    async def process(self, job: Job) -> None: ...


Former = Renamed


async def test_a_worker_may_have_a_second_name(start_oban: StartOban) -> None:
    oban = await start_oban()
    workflow = Workflow(id="flow").add("job", Job(f"{__name__}.Former", max_attempts=1))
    await oban.enqueue_many(workflow)
    assert (await workflow.wait(timeout=20)).state == "completed"
