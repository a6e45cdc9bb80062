"""What type checkers say about blocking twins: they know them, and refuse to await them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.types.test_pages import PYRIGHT, needs_pyright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HEAD = """
from __future__ import annotations
from typing import Any, assert_type
import psycopg
from oban import Job
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, scoped_session
from oban_pro import Graph, Signal, Workflow, WorkflowStatus, sync

async def double(number: int) -> int: return number * 2
workflow = Workflow()
doubled = workflow.call(double, 3)

async def program(
    job: Job,
    conn: psycopg.Connection,
    rows: psycopg.Connection[dict[str, Any]],
    cursor: psycopg.Cursor,
    engine: Connection,
    session: Session,
    scoped: scoped_session[Session],
    async_conn: psycopg.AsyncConnection,
    async_engine: AsyncConnection,
    async_session: AsyncSession,
) -> None:
    handle = sync.Handle("id", conn)
"""

RIGHT = [
    "sync.enqueue(workflow, conn)",
    "sync.enqueue(sync.Workflow(), rows)",
    "sync.enqueue([*workflow, job], cursor)",
    "sync.enqueue(job, engine, prefix='jobs')",
    "sync.enqueue(workflow, session)",
    "sync.enqueue(workflow, scoped)",
    "sync.enqueue(workflow, 'postgresql://')",
    "assert_type(sync.enqueue(workflow), list[Job])",
    "assert_type(handle.status(), WorkflowStatus)",
    "assert_type(handle.wait(timeout=5), WorkflowStatus)",
    "assert_type(handle.get_job('a'), Job | None)",
    "assert_type(handle.all_jobs(names=['a']), list[Job])",
    "assert_type(handle.fetch_graph(), Graph)",
    "assert_type(handle.signals('a'), list[Signal])",
    "assert_type(handle.signal('a', {'b': 1}, by='ada'), int)",
    "assert_type(handle.cancel_jobs(), int)",
    "assert_type(handle.result(doubled), int)",
    "assert_type(handle.result('a', as_=float), float)",
    "assert_type(sync.Workflow.for_job(job), sync.Workflow)",
    "assert_type(sync.Workflow(id='a', oban='b').status(), WorkflowStatus)",
]

WRONG = [
    "await handle.status()",
    "await sync.Workflow().status()",
    "await sync.enqueue(workflow, conn)",
    "handle.statsu()",
    "handle.wait(60)",
    "handle.cancel_jobs(names=5)",
    "handle.get_job()",
    "sync.enqueue(workflow, async_conn)",
    "sync.enqueue(workflow, async_engine)",
    "sync.enqueue(workflow, async_session)",
    "sync.enqueue('workflow', conn)",
    "sync.enqueue(workflow, 5)",
    "sync.Handle('id')",
    "sync.Handle('id', async_session)",
    "handle.add('a', job)",
    "text: str = handle.result(doubled)",
]

BODY = [*RIGHT, *WRONG]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a module with all statements, one in each line."""
    program = tmp_path_factory.mktemp("sync") / "program.py"
    program.write_text(HEAD + "".join(f"    {line}\n" for line in BODY))

    return program


def run(program: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command,
        cwd=program.parent,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr

    return done.stdout


def check(messages: dict[int, str]) -> None:
    """Compare what is told of each line with the statements that are wrong."""
    first = HEAD.count("\n") + 1
    found = {BODY[line - first]: told for line, told in messages.items()}

    assert {line: told for line, told in found.items() if line not in WRONG} == {}
    assert {*WRONG} - found.keys() == set(), "wrong, and not refused"


class TestTwins:
    def test_mypy_knows_the_blocking_twins(self, program: Path) -> None:
        options = ["--strict", "--no-error-summary", "--hide-error-context", "--cache-dir"]
        output = run(
            program, sys.executable, "-m", "mypy", *options, program.parent / "cache", program
        )
        errors = [line.split(":", 2) for line in output.splitlines() if ": error: " in line]

        check({int(line): told for _, line, told in errors})

    @needs_pyright
    def test_pyright_knows_the_blocking_twins(self, program: Path) -> None:
        settings = {
            "typeCheckingMode": "strict",
            "extraPaths": [str(ROOT / "src")],
            "include": [program.name],
            # Statements are alone in their lines, for their errors alone.
            "reportUnusedVariable": False,
        }
        (program.parent / "pyrightconfig.json").write_text(json.dumps(settings))
        node = shutil.which("node") or "node"
        output = run(program, node, PYRIGHT, "--outputjson", "--pythonpath", sys.executable)
        found = json.loads(output)["generalDiagnostics"]

        check(
            {
                one["range"]["start"]["line"] + 1: one["message"]
                for one in found
                if one["severity"] == "error"
            }
        )
