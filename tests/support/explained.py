"""What statements read: one of them by EXPLAIN, nested ones too by auto_explain."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from psycopg import AsyncConnection
    from psycopg.errors import Diagnostic

SETTINGS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}

# A line of the context of a notice: a function that was being executed.
FRAME = re.compile(r'^(?:PL/pgSQL|SQL) function "?(\w+)', re.MULTILINE)


def explaining(dsn: str) -> str:
    """Return the DSN with which a superuser is told the plan of each statement."""
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())

    return make_conninfo(dsn, options=options)


class Statement(NamedTuple):
    """A statement that was executed.

    Args:
        text: Its SQL.
        functions: What it was executed by, the innermost first.
        buffers: Pages of tables and indexes that it used, functions that it called apart.
        rows: How many rows it returned, or changed or locked where that is more.
        handled: How many rows one step of its plan had to do with, at most.
        plan: As JSON.
    """

    text: str
    functions: tuple[str, ...]
    buffers: int
    rows: int
    handled: int
    plan: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether this package executed it: all of its files begin with a comment."""
        return bool(self.functions) or self.text.startswith("--")

    def __str__(self) -> str:
        place = " < ".join(self.functions) or "a query"
        nodes = "\n".join(_lines(self.plan, 1))

        return (
            f"{self.buffers} buffers and {self.handled} rows for {self.rows} in {place}:\n"
            f"{self.text.strip()}\n{nodes}"
        )


class Recorder:
    """Collects statements of connections that are opened once it is installed."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self._is_on = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Listen to every connection that is opened from now on."""
        connect = psycopg.AsyncConnection.connect

        async def connect_and_listen(*args: Any, **kwargs: Any) -> Any:
            conn = await connect(*args, **kwargs)
            # statements that functions executed, until what called the functions is told
            inner: list[tuple[tuple[str, ...], int]] = []
            conn.add_notice_handler(lambda notice: self._note(notice, inner))

            return conn

        monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect_and_listen)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Collect what is executed within the block."""
        self._is_on = True

        try:
            yield
        finally:
            self._is_on = False

    def _note(self, notice: Diagnostic, inner: list[tuple[tuple[str, ...], int]]) -> None:
        _, is_plan, told = (notice.message_primary or "").partition(" plan:\n")

        if not is_plan:
            return

        explained = json.loads(told)
        text, plan = explained["Query Text"], explained["Plan"]
        functions = tuple(FRAME.findall(notice.context or ""))
        called = [one for one in inner if _is_called(text, len(functions), one[0])]
        inner[:] = [one for one in inner if one not in called] if functions else []
        inner.append((functions, _buffers(plan)))

        if self._is_on:
            # What a plan runs once for another node is in the figures of both.
            own = _buffers(plan) - sum(buffers for _, buffers in called)
            buffers = max(min(own, sum(map(_own_buffers, nodes_of(plan)))), 0)
            handled = max(map(_count, nodes_of(plan)))
            statement = Statement(text, functions, buffers, _rows(plan), handled, plan)
            self.statements.append(statement)


def _is_called(text: str, depth: int, functions: tuple[str, ...]) -> bool:
    """Tell whether what these functions executed was executed for a statement at some depth."""
    return len(functions) > depth and functions[len(functions) - depth - 1] in text


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a plan and all that it is made of."""
    yield plan

    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


async def buffers_of(conn: AsyncConnection[Any], statement: str, params: Any = None) -> int:
    """Return how many pages a statement uses, of tables and indexes, functions included.

    It is executed three times, each time rolled back, and counted the last time: before, it reads
    catalogs and makes its plans.
    """
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
    plans: list[Any] = []

    for _ in range(3):
        async with conn.transaction(force_rollback=True):
            cursor = await conn.execute(explain.encode(), params)
            (plans,) = await cursor.fetchone() or (plans,)

    return _buffers(plans[0]["Plan"])


def _buffers(node: dict[str, Any]) -> int:
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


def _own_buffers(node: dict[str, Any]) -> int:
    """Count what a node reads or writes itself; others read catalogs, or call functions."""
    if not node.keys() & {"Relation Name", "Index Name"}:
        return 0

    return max(_buffers(node) - sum(map(_buffers, node.get("Plans", ()))), 0)


def _rows(plan: dict[str, Any]) -> int:
    changed = [
        _count(inner)
        for node in nodes_of(plan)
        if node["Node Type"] == "ModifyTable"
        for inner in node.get("Plans", ())
        if inner["Parent Relationship"] == "Outer"
    ]

    locked = [_count(node) for node in nodes_of(plan) if node["Node Type"] == "LockRows"]

    return max([_count(plan), *changed, *locked])


def _count(node: dict[str, Any]) -> int:
    return int(node["Actual Rows"] * node["Actual Loops"])


def _lines(node: dict[str, Any], depth: int) -> Iterator[str]:
    kinds = ("Parent Relationship", "Subplan Name", "Node Type", "Relation Name", "Index Name")
    names = " ".join(str(node[kind]) for kind in kinds if kind in node)
    yield f"{'  ' * depth}{names}: {_count(node)} rows, {_buffers(node)} buffers"

    for inner in node.get("Plans", ()):
        yield from _lines(inner, depth + 1)
