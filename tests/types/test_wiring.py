"""What type checkers say about wired calls: errors at the lines that are wrong, and at no other."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.types.test_pages import PYRIGHT, needs_pyright

HEAD = """
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from oban import Cancel, Job, Snooze
from oban_pro import Context, Outcome, Workflow


@dataclass
class Row:
    id: int
    name: str


class Table(NamedTuple):
    title: str
    rows: list[Row]

    @property
    def is_large(self) -> bool: return len(self.rows) > 10


async def extract(source: str) -> list[Row]: return [Row(1, source)]
def clean(rows: list[Row], *, strict: bool = False) -> Table: return Table("t", rows)
def resize(path: Path, width: int) -> Path: return path
async def shrink(path: Path, *, by: float = 0.5) -> Path: return path
def report(table: Table, thumbs: list[Path]) -> str: return table.title
def by_name(thumbs: dict[str, Path]) -> int: return len(thumbs)
async def maybe(number: int) -> int | Snooze: return number
def stop(number: int) -> str | Cancel: return str(number)
def total(*numbers: int) -> int: return sum(numbers)
def only(number: int, /, *, factor: float) -> float: return number * factor
def nothing() -> None: ...
def double(number: int) -> int: return number * 2
def traced[**P, R](func: Callable[P, R]) -> Callable[P, R]: return func
@traced
def wrapped(number: int) -> str: return str(number)
def totals(numbers: list[int], by: int) -> list[float]: return [by / one for one in numbers]
async def lengths(texts: dict[str, str]) -> dict[str, int]: return {key: 1 for key in texts}
def pay_back(table: Table, *, why: str = "") -> None: ...
def refund(context: Context) -> None: ...
def put_back(number: int, context: Context) -> None: ...
def told(scores: list[Path], failed: dict[str, str]) -> str: return f"{len(failed)} failed"
def path_of(path: Path) -> str: return str(path)
def again(error: str) -> int: return len(error)
def is_small(context: Context) -> bool: return True
def close(outcome: Outcome) -> str: return outcome.state
async def mail(outcome: Outcome, table: Table | None = None, *, to: str) -> int: return 1
def linear(job: Job) -> float: return 1.0
paths = [Path("a")]
named = {"a": Path("a")}
numbered = {1: Path("a")}
some: Iterable[Path] = paths


async def main() -> None:
    w = Workflow(name="etl")
    other = Workflow()
    rows = w.call(extract, "api")
    table = w.options(name="clean it", queue="cpu").call(clean, rows, strict=True)
    thumbs = w.each(resize, paths, 640)
    keyed = w.each(shrink, named, by=0.5)
    final = w.call(report, table, thumbs)
"""

RIGHT = [
    "a1: list[Row] = w.call(extract, 'api')",
    "a2: Table = w.call(clean, rows)",
    "a3: Table = w.call(clean, rows=rows, strict=False)",
    "a4: list[Path] = w.each(resize, [Path('a')], width=3)",
    "a5: dict[str, Path] = w.each(resize, numbered, 640)",
    "a6: list[Path] = w.each(resize, thumbs, 640)",
    "a7: dict[str, Path] = w.each(shrink, keyed)",
    "a8: int = w.call(by_name, keyed)",
    "a9: str = w.call(stop, w.call(maybe, rows[0].id))",
    "a10: int = w.call(total, 1, rows[0].id, 3)",
    "a11: str = await w.result(final, timeout=60)",
    "a12: Table = await w.result('clean it', as_=Table)",
    "a13: list[Path] = await other.result(thumbs)",
    "a14: str = w.call(report, w.value('clean it', Table), w.value('thumbs', list[Path]))",
    "a15: str = await w.result(table.title)",
    "a16: list[int] = w.each(double, {1, 2})",
    "a17: list[str] = w.each(wrapped, iter([1]))",
    "a18: list[int] = w.options(deps=rows).options(backoff=linear, timeout=60).each(double, [1])",
    "a19: Workflow = w.add('job', Job('worker'), deps=[rows, 'extract', table])",
    "w.call(nothing)",
    "a20: float = w.options(delay=timedelta(hours=1), tags=['x'], meta={'a': 1}).call("
    "only, 1, factor=0.5)",
    "a21: list[int] = w.each(double, range(3))",
    "a22: list[float] = w.options(batch=10).each(totals, [1, 2], 3)",
    "a23: dict[str, int] = w.options(batch=10).options(name='x').each(lengths, {'a': 'b'})",
    "a24: list[float] = w.options(batch=10).each(totals, w.each(double, [1]), by=3)",
    "a25: float = w.options(undo=refund).call(only, 1, factor=0.5)",
    "a27: str = w.call(told, thumbs, w.failed(thumbs))",
    "a28: dict[str, int] = w.each(again, w.failed(keyed))",
    "a29: int = w.call(again, error=w.failed(thumbs)['3'])",
    "a30: str = w.options(need=1).call(told, [], w.failed(w.value('x', dict[str, str])))",
    "a26: list[int] = w.options(undo=put_back).each(double, [1])",
    # Items one by one
    "a31: list[int] = w.each(double, w.each(double, w.each(double, [1])))",
    "a32: dict[str, int] = w.options(deps=keyed).each(again, w.each(path_of, keyed))",
    # Conditions
    "a33: int = w.options(when=table.is_large).call(double, 1)",
    "a34: list[int] = w.options(when=w.value('x', bool)).each(double, [1])",
    "a35: int = w.options(when=is_small, queue='x').call(double, 1)",
    "a38: Workflow = w.add_many('many', [Job('worker')], when=table.is_large)",
    # Undo
    "w.undo(table, pay_back, table)",
    "w.undo(table, pay_back, table, why='late')",
    # Final jobs
    "a39: str = w.final(close)",
    "a40: int = w.options(on='failed', queue='ops').final(mail, table, to='ada')",
    "a41: int = w.options(name='x', max_attempts=9).final(mail, to='ada')",
    "a42: int = w.options(on='completed').options(deps='close').final(mail, to=w.final(close))",
]

WRONG = [
    # Arguments
    "w.call(extract)",
    "w.call(extract, 5)",
    "w.call(extract, 'a', 'b')",
    "w.call(extract, sauce='api')",
    "w.call(clean, rows, True)",
    "w.call(clean, rows, strict='yes')",
    "w.call(clean, rows, strikt=True)",
    "w.call(only, number=1, factor=1.0)",
    "w.call(only, 1)",
    "w.call(total, 1, 'two')",
    "w.call(wrapped, 'one')",
    "w.call(nothing, 1)",
    "w.call(None)",
    "w.call('extract', 'api')",
    "w.call(extract('api'))",
    # Wires
    "w.call(clean, table)",
    "w.call(report, rows, thumbs)",
    "w.call(report, table, keyed)",
    "w.call(by_name, thumbs)",
    "w.call(clean, rows[0])",
    "w.call(report, table.titel, thumbs)",
    "w.call(double, rows[0].name)",
    "w.call(double, final)",
    "w.call(clean, w.value('x', Table))",
    # Results of calls
    "b1: Table = w.call(extract, 'api')",
    "b2: list[Row] = w.call(clean, rows)",
    "b3: str = w.call(maybe, 1)",
    "b4: Snooze = w.call(maybe, 1)",
    "b5: int = w.call(stop, 1)",
    # Fan-outs
    "w.each(resize, paths)",
    "w.each(resize, paths, '640')",
    "w.each(resize, paths, 640, 480)",
    "w.each(resize, ['a'], 640)",
    "w.each(resize, 'abc', 640)",
    "w.each(resize, 5, 640)",
    "w.each(resize, some, 640)",
    "w.each(resize, {'a': 'b'}, 640)",
    "w.each(resize, {(1, 2): Path('a')}, 640)",
    "w.each(nothing, [1])",
    "w.each(shrink, paths, bye=0.5)",
    "b6: dict[str, Path] = w.each(resize, paths, 640)",
    "b7: list[Path] = w.each(resize, named, 640)",
    "b8: list[Path] = w.each(resize, keyed, 640)",
    "b9: list[str] = w.each(resize, paths, 640)",
    # Failures
    "w.failed('thumbs')",
    "w.failed(table)",
    "w.failed()",
    "w.call(told, w.failed(thumbs), thumbs)",
    "w.call(told, thumbs, w.failed(thumbs)['3'])",
    "w.each(double, w.failed(thumbs))",
    "b16: dict[int, str] = w.failed(thumbs)",
    # Options
    "w.options(que='cpu')",
    "w.options(queue=5)",
    "w.options(priority='high').call(nothing)",
    "w.options(max_attempts=3).call(clean, 5)",
    "w.options(backoff='1m')",
    "w.options('cpu')",
    "w.options(batch='10')",
    "w.options(batch=10).call(double, 1)",
    "w.options(batch=10).each(double, [1, 2])",
    "w.options(batch=10).each(totals, ['a'], 3)",
    "w.options(batch=10).each(totals, [1, 2])",
    "w.options(batch=10).each(lengths, ['a'])",
    "b15: list[int] = w.options(batch=10).each(totals, [1], 3)",
    "w.options(undo=5)",
    "w.options(undo=linear)",
    "w.options(lazy=True)",
    # Items one by one
    "w.each(resize, w.each(double, [1]), 640)",
    "w.each(double, w.each(path_of, keyed))",
    "b17: list[str] = w.each(path_of, keyed)",
    # Conditions
    "w.options(when=table.rows)",
    "w.options(when=close)",
    "w.options(when='is_small')",
    "w.add_signal('approval', when=linear)",
    "w.add_timer('pause', 60, when=rows[0].id)",
    # Undo
    "w.undo(table, pay_back, rows)",
    "w.undo(table, pay_back)",
    "w.undo(table, pay_back, table, why=5)",
    # Final jobs
    "w.final(clean, rows)",
    "w.final(mail, table)",
    "w.final(mail, rows, to='ada')",
    "w.final(close, 1)",
    "w.options(on='sometimes').final(close)",
    "w.options(on='failed').call(double, 1)",
    "w.options(on='failed', limit=3).final(close)",
    "b18: int = w.final(close)",
    # Results
    "b10: int = await w.result(final)",
    "b11: list[Row] = await w.result(table)",
    "b12: int = await w.result('clean it', as_=str)",
    "b13: str = await w.result(rows[0].id)",
    "await w.result(final, timeout='soon')",
    "b14: str = w.value('x', int)",
]

BODY = [*RIGHT, *WRONG]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a module with all statements, one in each line."""
    program = tmp_path_factory.mktemp("wiring") / "program.py"
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


def check(lines: set[int]) -> None:
    """Compare the lines with errors with the statements that are wrong."""
    first = HEAD.count("\n") + 1
    assert min(lines) >= first, lines
    found = {BODY[line - first] for line in lines}

    assert found - {*WRONG} == set(), "refused, and right"
    assert {*WRONG} - found == set(), "wrong, and not refused"


class TestWires:
    def test_enough_right_and_wrong_wires_are_checked(self) -> None:
        assert len(WRONG) >= 40
        assert len(RIGHT) >= 10

    @pytest.mark.slow
    def test_mypy_refuses_what_is_wrong_at_its_line(self, program: Path) -> None:
        options = ["--strict", "--no-error-summary", "--hide-error-context", "--cache-dir"]
        output = run(
            program, sys.executable, "-m", "mypy", *options, program.parent / "cache", program
        )

        check({int(line.split(":")[1]) for line in output.splitlines() if ": error: " in line})

    @needs_pyright
    @pytest.mark.slow
    def test_pyright_refuses_what_is_wrong_at_its_line(self, program: Path) -> None:
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

        check({one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"})
