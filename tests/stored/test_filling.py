"""The database full of workflows is such as operations would have left it."""

from oban import Oban
from psycopg import AsyncConnection

from oban_pro import Workflow, doctor
from tests.support.recount import assert_consistent
from tests.support.stored import BROKEN, CROWDED, LARGE, TINY, WIDE, fill


async def test_a_filled_database_has_right_books(
    dsn: str, oban: Oban, conn: AsyncConnection
) -> None:
    await fill(dsn, TINY)
    await assert_consistent(conn)
    assert await doctor.audit() == []


async def test_stores_what_it_was_told_to(dsn: str, oban: Oban, conn: AsyncConnection) -> None:
    await fill(dsn, TINY)
    cursor = await conn.execute("SELECT name, state FROM oban_workflow_groups WHERE parent IS NULL")
    roots = await cursor.fetchall()
    settled = [state for name, state in roots if name == "settled"]
    still_open = [state for name, state in roots if name == "open" and state == "executing"]
    assert (len(settled), len(still_open)) == (TINY.settled, TINY.open + 1)
    assert sorted({*settled}) == ["cancelled", "completed", "discarded"]
    found = [(await Workflow(id=id).status()).state for id in (LARGE, BROKEN, WIDE)]
    assert found == ["executing", "discarded", "executing"]


async def test_a_filled_database_holds_open_waits(
    dsn: str, oban: Oban, conn: AsyncConnection
) -> None:
    await fill(dsn, TINY)
    open_waits = "SELECT count(*) FROM oban_workflow_waits WHERE is_open AND kind = %s"
    counts = [await count(conn, open_waits, [kind]) for kind in ("signal", "timer")]
    waiting = TINY.open // 5
    assert counts == [waiting + TINY.large // 2, waiting]
    assert (await Workflow(id=CROWDED).status()).waits == TINY.large // 2
    # none is due, and each workflow that waits has one for itself and one for a wait
    running = "SELECT count(*) FROM oban_workflow_timers WHERE due > timezone('UTC', now())"
    assert await count(conn, running) >= 3 * waiting
    assert await count(conn, "SELECT count(*) FROM oban_workflow_timers WHERE due < now()") == 0
    assert await count(conn, "SELECT count(*) FROM oban_workflow_signals") > TINY.settled // 5
    assert await count(conn, "SELECT count(*) FROM oban_workflow_awaits")


async def count(conn: AsyncConnection, statement: str, params: list[str] | None = None) -> int:
    row = await (await conn.execute(statement.encode(), params)).fetchone()
    assert row is not None

    return int(row[0])


async def test_copies_what_jobs_say_of_their_workflow(
    dsn: str, oban: Oban, conn: AsyncConnection
) -> None:
    await fill(dsn, TINY)
    cursor = await conn.execute("SELECT id FROM oban_workflow_groups WHERE name = 'settled'")

    for (id,) in await cursor.fetchall():
        jobs = await Workflow(id=id).all_jobs(with_subs=True)
        assert len(jobs) == 10
        assert {job.meta["workflow_id"] for job in jobs if job.meta["name"] == "extract"} == {id}
        assert id in str(jobs[-1].meta) or jobs[-1].meta["sup_workflow_id"] == id
