"""Measuring what statements read: one statement with EXPLAIN, nested ones with auto_explain."""

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

# A line in the context of a notice, which names a function that is being executed.
FRAME = re.compile(r'^(?:PL/pgSQL|SQL) function "?(\w+)', re.MULTILINE)


def explaining(dsn: str) -> str:
    """Return a DSN with which a superuser receives the plan of each statement."""
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())

    return make_conninfo(dsn, options=options)


class Statement(NamedTuple):
    """A statement that was executed.

    Args:
        text: Its SQL.
        functions: The functions that executed it, the innermost first.
        buffers: Pages of tables and indexes that it used, without those of called functions.
        rows: How many rows it returned, changed or locked, whichever is most.
        handled: The largest number of rows that one step of its plan handled.
        plan: Its plan as JSON.
    """

    text: str
    functions: tuple[str, ...]
    buffers: int
    rows: int
    handled: int
    plan: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to this package, whose SQL files all begin with a comment."""
        return bool(self.functions) or self.text.startswith("--")

    def __str__(self) -> str:
        place = " < ".join(self.functions) or "a query"
        nodes = "\n".join(_lines(self.plan, 1))

        return (
            f"{self.buffers} buffers and {self.handled} rows for {self.rows} in {place}:\n"
            f"{self.text.strip()}\n{nodes}"
        )


class Recorder:
    """Collects the statements of connections that are opened after `install`."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self._is_on = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Listen to every connection that is opened from now on."""
        connect = psycopg.AsyncConnection.connect

        async def connect_and_listen(*args: Any, **kwargs: Any) -> Any:
            conn = await connect(*args, **kwargs)
            # statements of functions are kept until the notice of the calling statement comes
            inner: list[tuple[tuple[str, ...], int]] = []
            conn.add_notice_handler(lambda notice: self._note(notice, inner))

            return conn

        monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect_and_listen)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Collect the statements that are executed in the block."""
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
            # A subplan that runs once for another node is counted in the figures of both.
            own = _buffers(plan) - sum(buffers for _, buffers in called)
            buffers = max(min(own, sum(map(_own_buffers, nodes_of(plan)))), 0)
            handled = max(map(_count, nodes_of(plan)))
            statement = Statement(text, functions, buffers, _rows(plan), handled, plan)
            self.statements.append(statement)


def _is_called(text: str, depth: int, functions: tuple[str, ...]) -> bool:
    """Tell whether a statement executed by these functions belongs to a statement at some depth."""
    return len(functions) > depth and functions[len(functions) - depth - 1] in text


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a plan and all plans inside it."""
    yield plan

    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


async def buffers_of(conn: AsyncConnection[Any], statement: str, params: Any = None) -> int:
    """Return how many pages a statement uses, of tables and indexes, functions included.

    It is executed three times, and rolled back each time. Only the last time counts, because the
    first times also read catalogs and make plans.
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
    """Count a plan node's own pages. Some nodes only read catalogs or call functions."""
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
