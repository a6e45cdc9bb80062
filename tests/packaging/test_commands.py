"""Every block of commands on every page, typed by somebody who has the wheel, pip and uv."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.testing import run_workflow
from tests.support.cli import environment
from tests.support.databases import Server
from tests.support.environments import Uv, copy_repository
from tests.support.page import PAGES, Block, blocks
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ELSEWHERE = {
    "docs/how-to/back-up-and-restore.md": "tests/docs/test_copies.py",
    "docs/how-to/every-night.md": "tests/integration/test_schedules.py",
    "docs/how-to/find-and-steer-many.md": "tests/integration/test_cli_found.py, test_timings.py",
    "docs/how-to/keep-large-values-elsewhere.md": "tests/integration/test_stores.py",
    "examples/django_shop/README.md": "tests/integration/test_django.py",
    "examples/nightly/README.md": "tests/examples/test_nightly.py",
}
"""Pages whose commands need more than one database or server, a store, a node with a schedule, or
two runs and an answer; and where such commands are typed."""

SHELLS = {
    page: commands
    for page in PAGES
    if page not in ELSEWHERE
    and (
        commands := [block for block in blocks(ROOT / page) if block.language in {"sh", "console"}]
    )
}

SERVERS = {
    "oban start": "Oban started",
    "oban-workflows start": "Oban started",
    "oban-workflows web": "Dashboard at",
    "python -m examples.fastapi_service": "Uvicorn running",
}
"""Commands that do not end, and what they say when they are ready."""

SHORTENED = {"make test": "make test ARGS=tests/unit"}
"""Commands that would run everything, these very tests among it."""

FILES = {
    "photos.py": "from oban_pro import Workflow\n\nworkflow = Workflow()\n",
    "legacy.py": "from oban_pro import Batch\n",
}
"""What readers have themselves: a workflow, and what they wrote for another package."""


ROLE = re.compile(r"--(?:grant-)?(?:worker|enqueuer|reader) (\w+)")
"""Roles that a page grants something, and that its reader has made before."""


async def load(context):
    return "loaded"


class Reader:
    """Somebody who types what is printed, with a server of their own."""

    def __init__(self, folder: Path, path: str, dsn: str, *, pins: Path) -> None:
        self._folder = folder
        self._dsn = dsn
        self._env = environment() | {
            "PATH": path,
            "PIP_CONSTRAINT": str(pins),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self._env.pop("VIRTUAL_ENV", None)

    def set_dsn(self) -> None:
        self._env["OBAN_DSN"] = self._dsn

    def type(self, commands: list[str], expected: str, servers: ExitStack) -> None:
        """Type the commands of a block; what the last one serves goes on until the next server."""
        for needle, ready in SERVERS.items():
            if needle in commands[-1]:
                servers.close()
                output = servers.enter_context(self._serve(commands, ready))
                break
        else:
            output = self._run(commands)

        parts = (re.escape(part.strip()) for part in re.split("…|\n", expected))
        assert re.search(".*".join(parts), output, re.DOTALL), output

    def _start(self, commands: list[str], log: Path) -> subprocess.Popen[bytes]:
        script = "\n".join(
            SHORTENED.get(line.partition(" #")[0].strip(), line) for line in commands
        )
        script = re.sub(r"postgresql://\S+", shlex.quote(self._dsn), script)

        with log.open("wb") as out:
            return subprocess.Popen(
                ["bash", "-ec", script],
                cwd=self._folder,
                env=self._env,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _run(self, commands: list[str]) -> str:
        log = self._folder / "output.log"
        code = self._start(commands, log).wait(timeout=240)
        output = log.read_text("utf-8")
        assert code == 0, output[-3000:]

        return output

    @contextmanager
    def _serve(self, commands: list[str], ready: str) -> Iterator[str]:
        log = self._folder / "server.log"
        process = self._start(commands, log)
        deadline = time.monotonic() + 60

        try:
            while ready not in (output := log.read_text("utf-8", "replace")):
                assert process.poll() is None, output[-3000:]
                assert time.monotonic() < deadline, output[-3000:]
                time.sleep(0.05)

            yield output
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)

            process.wait(timeout=30)


@pytest.fixture(scope="module")
def path(uv: Uv, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Provide the PATH of somebody who has installed the wheel, and has uv."""
    folder = tmp_path_factory.mktemp("reader") / "venv"
    uv("venv", "--quiet", "--seed", "--python", sys.executable, folder)
    uv("pip", "install", "--quiet", "--python", folder / "bin" / "python", f"{wheel}[web]")
    (folder / "bin" / "uv").symlink_to(uv.program)

    return f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture
async def nightly_dsn(dsn: str) -> str:
    """Provide a database with the workflows that pages speak of: one has run, one waits."""
    async with AsyncConnectionPool(dsn, open=False) as pool:
        oban = Oban(pool=pool)
        workflow = Workflow(id="nightly-7").add_cascade("load", load)
        await run_workflow(workflow, oban)
        choices = ("approve", "approve later")
        waiting = Workflow(id="order-21", name="order").add_signal("approval", choices=choices)
        await oban.enqueue_many(waiting)

    return dsn


@contextmanager
def made(dsn: str, roles: set[str]) -> Iterator[None]:
    """Make roles, and drop them with what they got in a database."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for role in roles:
            conn.execute(f"CREATE ROLE {role}".encode())

        yield

        for role in roles:
            conn.execute(f"DROP OWNED BY {role}".encode())
            conn.execute(f"DROP ROLE {role}".encode())


def typed(block: Block) -> tuple[list[str], str]:
    """Split a block into its commands and what it shows of their output."""
    if block.language == "sh":
        return block.text.splitlines(), ""

    lines = block.text.splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]

    return commands, "\n".join(line for line in lines if not line.startswith("$ "))


class TestCommands:
    @pytest.mark.parametrize("page", sorted(SHELLS))
    def test_of_a_page_work_as_printed(
        self,
        page: str,
        path: str,
        clone: Path,
        wheel: Path,
        postgres: Server,
        nightly_dsn: str,
        tmp_path: Path,
    ) -> None:
        pins = tmp_path / "pins.txt"
        pins.write_text(f"oban-workflows @ {wheel.as_uri()}\n", encoding="utf-8")
        folder = tmp_path if page.startswith("docs/") else clone

        for name, text in FILES.items():
            (tmp_path / name).write_text(text, encoding="utf-8")

        roles = {name for block in SHELLS[page] for name in ROLE.findall(block.text)}

        with ExitStack() as stack:
            stack.enter_context(made(nightly_dsn, roles))
            installs = "oban-workflows install --dsn" in (ROOT / page).read_text("utf-8")
            empty = postgres.dsn(stack.enter_context(postgres.database()))
            reader = Reader(folder, path, empty if installs else nightly_dsn, pins=pins)

            if page.startswith("docs/"):
                reader.set_dsn()

            servers = stack.enter_context(ExitStack())

            for block in SHELLS[page]:
                reader.type(*typed(block), servers)
