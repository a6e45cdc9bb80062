"""A rolling deployment: real nodes with old and with new code, side by side on one database."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from oban import Job, Oban
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro.building.cascades import CASCADE_WORKER
from tests.support.cli import environment
from tests.support.fixtures import WaitUntil
from tests.support.recount import assert_consistent

WORKFLOWS = 1000

BOTH = """
def both(context):
    return "both"
"""

OLD = f"""{BOTH}
def old(context):
    return "old"
"""

NEW = f"""{BOTH}
def new(context):
    return "new"

def item(item, context):
    return item
"""


@pytest.fixture
def versions(dsn: str, tmp_path: Path) -> Iterator[None]:
    """Run a node with old code and one with new code."""
    with ExitStack() as stack:
        for name, code in (("old", OLD), ("new", NEW)):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "rolled.py").write_text(code, "utf-8")
            output = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "oban", "start", "--queues", "default:10", "--node", name],
                cwd=folder,
                env=environment(dsn) | {"PYTHONPATH": str(folder)},
                stdout=output,
                stderr=output,
            )
            stack.callback(process.wait, 10)
            stack.callback(process.kill)

        yield


def cascade(function: str, **args: object) -> Job:
    return Job(CASCADE_WORKER, args={"function": f"rolled:{function}", **args}, max_attempts=1)


def build(number: int) -> Workflow:
    """Build a workflow that needs a function which one of the versions does not have."""
    workflow = Workflow().add("both", cascade("both"))

    if number % 2:
        return workflow.add("old", cascade("old"), deps="both")

    return workflow.add("new", cascade("new"), deps="both").add_many(
        "items", [cascade("item", item=n) for n in range(3)], deps="new"
    )


class TestNodesWithOldAndNewCode:
    @pytest.mark.timeout(300)
    @pytest.mark.usefixtures("versions")
    async def test_let_no_workflow_fail(
        self, oban: Oban, conn: AsyncConnection, wait_until: WaitUntil
    ) -> None:
        await oban.enqueue_many(job for n in range(WORKFLOWS) for job in build(n))

        async def are_settled() -> bool:
            cursor = await conn.execute(
                "SELECT NOT EXISTS (SELECT FROM oban_workflow_groups WHERE state = 'executing')"
            )
            row = await cursor.fetchone()
            return bool(row and row[0])

        await wait_until(are_settled, timeout=240)
        cursor = await conn.execute(
            "SELECT state::text, attempt, jsonb_array_length(errors), count(*)"
            " FROM oban_jobs GROUP BY 1, 2, 3"
        )
        assert await cursor.fetchall() == [("completed", 1, 0, WORKFLOWS // 2 * (2 + 5))]
        cursor = await conn.execute(
            "SELECT count(*) > 0 FROM oban_jobs WHERE (meta ->> 'snoozed')::int > 0"
        )
        assert await cursor.fetchone() == (True,)
        await assert_consistent(conn)
