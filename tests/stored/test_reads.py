"""No statement reads what it is not concerned with, however much is stored.

Every operation of the package runs once in a database full of workflows, and all of them together
run every statement that there is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

import oban_pro
from tests.support.explained import Recorder, explaining
from tests.support.operations import CONNECTIONS, OPERATIONS, Node
from tests.support.stored import TINY, fill

if TYPE_CHECKING:
    from tests.support.explained import Statement

SQL = Path(oban_pro.__file__).parent / "sql"

# Files that no operation executes, and why.
NOT_EXECUTED = {
    "queries/codes": "reads all jobs that are open, for a command of operators",
    "queries/install_rights": "reads catalogs, when an installation was refused",
    "queries/missing_indexes": "of the installation",
    "queries/missing_rights": "reads catalogs, when something was refused",
    "queries/notify": "reads no table",
    "queries/partition_index": "reads catalogs, before an index is built",
    "queries/signal_references": "reads all signals, for a doctor who has found an object of one",
    "queries/stores": "reads all workflows, for the doctor of all",
    "queries/writers": "of the installation",
    "queries/web_index_sup_workflow": "of the installation",
    "queries/web_index_workflow": "of the installation",
    "functions/keep/prune_v1": "of nodes with an older release",
    "functions/propagate/break_jobs_v1": "of nodes with an older release",
    "functions/propagate/breaks_v1": "an expression that is inlined",
    "functions/propagate/check_sight": "executes no statement",
    "functions/propagate/gated_groups_in": "a recursion that is inlined",
    "functions/propagate/job_error": "an expression that is inlined",
    "functions/propagate/satisfies_v1": "an expression that is inlined",
    "functions/propagate/tolerated": "an expression that is inlined",
    "functions/read/around_v1": "a recursion that is inlined",
    "functions/read/contexts_v1": "of nodes with an older release",
    "functions/read/contexts_v2": "of nodes with an older release",
    "functions/read/groups_by_path_v1": "a recursion that is inlined",
    "functions/read/groups_in_v1": "a recursion that is inlined",
    "functions/read/is_settled_v1": "an expression that is inlined",
    "functions/read/lazy_context_v1": "of nodes with an older release",
    "functions/limits/slot_v1": "of nodes with an older release",
    "functions/queues/partition_v1": "executes no statement",
    "functions/read/status_marks_v1": "of nodes with an older release",
    "functions/read/upstream_v1": "an expression that is inlined",
    "functions/skips/group_was_skipped_v1": "an expression that is inlined",
    "functions/skips/group_was_skipped_v2": "an expression that is inlined",
    "functions/skips/job_state_v1": "an expression that is inlined",
    "functions/skips/was_skipped_v1": "an expression that is inlined",
    "functions/steer/cancel_v1": "of nodes with an older release",
    "functions/steer/cancel_v2": "of nodes with an older release",
    "functions/triggers/after_truncate": "empties all tables",
    "functions/waits/admit_v1": "of nodes with an older release",
}

BUFFERS = 300
"""Pages that any statement may use."""

PER_ROW = 10
"""Pages that it may use for each row that it returns or changes."""

LISTS = (
    "-- A page of the jobs of a workflow",
    "-- Root workflows, newest first, a page at a time; of some states",
    "-- What the list shows of some root workflows",
    "-- How many root workflows there are in each state",
    "-- The first error of each of some root workflows",
    "-- Executing root workflows that may need somebody",
    "-- Waits that are open in a workflow",
    "-- Waits for signals that are open, of all workflows",
    "-- Why jobs of a workflow and of those nested in it failed",
    "-- Open jobs by queue and state",
    "-- Open root workflows by name",
    "-- Numbers that need one row",
)
"""How statements begin that list what is stored, and may read all of it."""

OF_ALL = {"oban_workflow_sequences_v1", "oban_workflow_slots_v1"}
"""Functions of the doctor of all workflows, and of the metrics about all that is open."""

COUNTS = {"oban_workflow_status_marks_v2"}
"""Functions that count entries of an index: a page of it holds very many."""


def is_excessive(statement: Statement) -> bool:
    if statement.text.startswith(LISTS) or OF_ALL.intersection(statement.functions[:1]):
        return False

    bound = BUFFERS + PER_ROW * statement.rows

    if statement.buffers > bound or COUNTS.intersection(statement.functions[:1]):
        return statement.buffers > bound

    # a join of rows to each other reads no more, and yet grows with their square
    return statement.handled > bound + statement.buffers


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_reads_no_more_than_it_is_concerned_with(node: Node, name: str) -> None:
    # A connection reads catalogs when it calls a function for the first time, and plans what is in
    # it, by looking at both ends of indexes. Any run may be the first one on its connection.
    for _ in range(CONNECTIONS + 1):
        node.recorder.statements.clear()
        await OPERATIONS[name](node)
        ours = [one for one in node.recorder.statements if one.is_ours]
        assert ours
        excessive = [one for one in ours if is_excessive(one)]

        if not excessive:
            break

    assert not excessive, "\n\n".join(map(str, excessive))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_looks_at_every_statement(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(dsn, TINY)
    recorder = Recorder()
    recorder.install(monkeypatch)

    async with AsyncConnectionPool(
        explaining(dsn), min_size=1, max_size=CONNECTIONS, open=False
    ) as pool:
        for execute in OPERATIONS.values():
            await execute(Node(Oban(pool=pool), recorder))

    texts = {statement.text for statement in recorder.statements}
    functions = {name for statement in recorder.statements for name in statement.functions}
    files = [*SQL.glob("queries/*.sql"), *SQL.glob("dashboard/*.sql"), *SQL.glob("functions/*/*")]
    missing = set()

    for file in files:
        header = _header(file)
        is_executed = (
            f"oban_workflow_{file.stem}" in functions
            if SQL / "functions" in file.parents
            else any(header in text for text in texts)
        )

        if not is_executed:
            missing.add(str(file.relative_to(SQL).with_suffix("")))

    assert len(set(map(_header, files))) == len(files)
    assert sorted(missing) == sorted(NOT_EXECUTED)


def _header(file: Path) -> str:
    """Return the comment that a file begins with, as PostgreSQL is sent it."""
    header = re.match(r"(?:--.*\n)+", file.read_text())
    assert header, file

    return header[0].replace("%%", "%")
