"""What lists and announcements of waits read: the open ones alone."""

from typing import Any

import pytest
from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow, sql
from tests.support.explained import buffers_of

SETTLED = """
INSERT INTO oban_workflow_waits (id, root, group_key, kind, opened_at)
SELECT n, -n, -n, 'signal', now() FROM generate_series(1000000, 1020000) AS n
"""


async def pages(conn: AsyncConnection, name: str, params: dict[str, Any]) -> int:
    """Return how many pages a statement of ours uses."""
    return await buffers_of(conn, sql.statement(f"queries/{name}", "public"), params)


@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("inbox", {"limit": 10}),
        ("claim_waiting", {}),
        ("open_waits", {"id": "w", "limit": 10}),
        ("status", {"id": "w"}),
    ],
)
async def test_do_not_grow_with_waits_that_have_settled(
    oban: Oban, conn: AsyncConnection, name: str, params: dict[str, Any], *, is_analyzed: bool
) -> None:
    await oban.enqueue_many(Workflow(id="w").add_signal("a", wait_for=60).add_timer("b", 60))
    few = await pages(conn, name, params)
    await conn.execute(SETTLED.encode())

    if is_analyzed:
        await conn.execute("VACUUM ANALYZE oban_workflow_waits")

    assert await pages(conn, name, params) <= few + 20


@pytest.mark.parametrize("is_analyzed", [False, True])
async def test_inbox_does_not_grow_with_waits_that_are_up_later(
    oban: Oban, conn: AsyncConnection, *, is_analyzed: bool
) -> None:
    def build(count: int, seconds: float) -> Workflow:
        workflow = Workflow()

        for n in range(count):
            workflow.add_signal(str(n), wait_for=seconds)

        return workflow

    await oban.enqueue_many(build(20, 60))
    few = await pages(conn, "inbox", {"limit": 10})
    await oban.enqueue_many(build(5_000, 3_600))

    if is_analyzed:
        await conn.execute("VACUUM ANALYZE oban_workflow_waits, oban_workflow_timers")

    # an index may be a level deeper, and is read once for each of the ten
    assert await pages(conn, "inbox", {"limit": 10}) <= 2 * few


CLAIMED = {
    "claim_waiting": """
        INSERT INTO oban_workflow_waits (id, root, group_key, kind, is_open, announced)
        SELECT n, -n, -n, 'signal', true, false FROM generate_series(1000000, 1003000) AS n;
        UPDATE oban_workflow_waits SET announced = true
    """,
    "claim_settled": """
        INSERT INTO oban_workflow_groups (id, root, empty_state, announced)
        SELECT 'w' || n, -n, 'completed', false FROM generate_series(1, 3000) AS n;
        UPDATE oban_workflow_groups SET announced = true
    """,
}
"""How rows are claimed that nothing has vacuumed since, by the statement that claims the next."""


@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize("name", CLAIMED)
async def test_claims_do_not_read_what_was_claimed_again(
    oban: Oban, conn: AsyncConnection, name: str, *, is_analyzed: bool
) -> None:
    few = await pages(conn, name, {})

    for statement in CLAIMED[name].split(";"):
        await conn.execute(statement.encode())

    if is_analyzed:
        await conn.execute("ANALYZE oban_workflow_waits, oban_workflow_groups")

    assert await pages(conn, name, {}) <= few + 20
