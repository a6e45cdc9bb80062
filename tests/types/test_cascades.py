"""What a type checker says about cascades: mistakes are errors, and nothing else is."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

HEAD = """
from datetime import timedelta
from typing import Any
from oban import Job
from oban_pro import Context, Workflow, from_result

def linear(job: Job) -> float: return 30.0 * job.attempt
def by_day(job: Job) -> timedelta: return timedelta(days=1)
def wordy(job: Job) -> str: return "1m"
async def extract(context: dict[str, Any]) -> list[int]: return [1]
def load(context: dict[str, Any]) -> int: return 1
async def fetch(url: str, context: dict[str, Any]) -> str: return url
async def grow(context: dict[str, Any]) -> Workflow: return Workflow()
async def fetch_all(urls: list[str], context: dict[str, Any]) -> list[str]: return urls
def by_key(urls: dict[str, str], context: dict[str, Any]) -> dict[str, str]: return urls
async def untyped(context): return context
async def untyped_item(item, context): return item
async def no_context() -> int: return 1
async def takes_int(context: int) -> int: return 1
def large(context: Context) -> bool: return len(context) > 1
sources = {"wiki": "https://..."}
workflow = Workflow()
"""

RIGHT = [
    'workflow.add_cascade("a", extract).add_cascade("b", load, deps="a", queue="io", priority=1)',
    'workflow.add_cascade("a", (["x"], fetch), deps=["a", "b"], scheduled_in=timedelta(hours=1))',
    'workflow.add_cascade("a", (sources, fetch), tags=["x"], meta={"a": 1}, ignore_cancelled=True)',
    'workflow.add_cascade("a", ({1: "x"}, fetch), scheduled_in=60, max_attempts=3)',
    'workflow.add_cascade("a", untyped).add_cascade("b", (range(3), untyped_item))',
    'workflow.add_cascade("a", load, when=large, priority=1).add_graft("b", grow, when=large)',
    'workflow.add("a", Job(worker="a"), when=large).add_workflow("b", Workflow(), when=large)',
    'workflow.add_context({"a": 1, "b": [None]}).add_context({})',
    'Workflow(defaults={"queue": "io", "scheduled_in": 60, "meta": {"a": 1}}, name="x")',
    'workflow.add_cascade("a", extract, timeout=60, backoff=linear, give_up_on=ValueError)',
    'workflow.add_cascade("a", (["x"], fetch), timeout=timedelta(hours=1), backoff=by_day)',
    'workflow.add_cascade("a", (["x"], fetch_all), batch=10, deps="b", limit=3, lazy=True)',
    'workflow.add_cascade("a", (sources, by_key), batch=10).add_cascade("b", load, lazy=True)',
    'workflow.add_cascade("a", (from_result("b").batches(10), fetch_all), deps="b")',
    'workflow.add_cascade("a", (from_result("b"), by_key), deps="b", batch=10)',
    'workflow.add_graft("a", grow, timeout=None, backoff=0.5, give_up_on=(OSError, KeyError))',
]

WRONG = [
    'workflow.add_cascade("a", fetch)',
    'workflow.add_cascade("a", no_context)',
    'workflow.add_cascade("a", takes_int)',
    'workflow.add_cascade("a", (["x"], extract))',
    'workflow.add_cascade("a", ([1, 2], fetch))',
    'workflow.add_cascade("a", (sources, fetch, 3))',
    'workflow.add_cascade("a", extract())',
    'workflow.add_cascade("a", (["x"], fetch_all))',
    'workflow.add_cascade("a", (["x"], fetch), batch=10)',
    'workflow.add_cascade("a", (["x"], by_key), batch=10)',
    'workflow.add_cascade("a", extract, batch=10)',
    'workflow.add_cascade("a", extract, lazy="yes")',
    'workflow.add_cascade("a", extract, que="io")',
    'workflow.add_cascade("a", extract, priority="high")',
    'workflow.add_cascade("a", extract, scheduled_in="1h")',
    'workflow.add_cascade("a", extract, deps=5)',
    "workflow.add_context([1])",
    'Workflow(defaults={"que": "io"})',
    'Workflow(defaults={"timeout": 60})',
    'workflow.add_cascade("a", extract, timeout="1m")',
    'workflow.add_cascade("a", extract, backoff=wordy)',
    'workflow.add_cascade("a", extract, backoff=extract)',
    'workflow.add_cascade("a", extract, give_up_on=KeyboardInterrupt)',
    'workflow.add_cascade("a", extract, give_up_on=[ValueError])',
    'workflow.add_graft("a", Job("worker"), timeout=5)',
]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Provide what mypy says, by statement: it starts slowly, so all are checked at once."""
    folder = tmp_path_factory.mktemp("types")
    snippet = folder / "snippet.py"
    statements = RIGHT + WRONG
    snippet.write_text(HEAD + "\n".join(statements) + "\n")
    first = HEAD.count("\n") + 1
    options = ["--strict", "--no-error-summary", "--hide-error-context", "--cache-dir"]
    loose = ["--allow-untyped-defs", "--allow-untyped-calls"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(folder / "cache"), *loose, str(snippet)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        where, _, message = line.partition(": error: ")
        if message:
            number = int(where.rpartition(":")[2])
            assert number >= first, line
            found[statements[number - first]] = message
    return found


@pytest.mark.parametrize("statement", RIGHT)
def test_accepts_what_is_right(statement: str, complaints: dict[str, str]) -> None:
    assert statement not in complaints


@pytest.mark.parametrize("statement", WRONG)
def test_finds_what_is_wrong(statement: str, complaints: dict[str, str]) -> None:
    assert statement in complaints
