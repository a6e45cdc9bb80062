"""What keys cost: nothing grows with the line behind one."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from oban import Oban
from oban._executor import AckAction
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro._plugin import timers
from oban_pro.errors import UniqueConflictError
from tests.support.engine import make_job
from tests.support.explained import Recorder, explaining


def one(id: str, oban: Oban, on_conflict: Any = "queue", **options: Any) -> Workflow:
    workflow = Workflow(id=id, unique="k", on_conflict=on_conflict, oban=oban._name, **options)

    return workflow.add("a", make_job())


class TestALine:
    @pytest.mark.timeout(240)
    @pytest.mark.parametrize("is_analyzed", [False, True])
    async def test_of_a_thousand_costs_what_one_of_ten_does(
        self,
        oban: Oban,
        conn: AsyncConnection,
        dsn: str,
        monkeypatch: pytest.MonkeyPatch,
        *,
        is_analyzed: bool,
    ) -> None:
        recorder = Recorder()
        recorder.install(monkeypatch)

        async with AsyncConnectionPool(explaining(dsn), min_size=1, max_size=1, open=False) as pool:
            node = Oban(pool=pool, name="node")

            async def hand_over() -> None:
                jobs = await node._query.fetch_jobs(5, "default", "node", str(uuid4()))
                (holder,) = jobs
                await node._query.ack_jobs([AckAction(job=holder, state="completed")])

            async def refuse() -> None:
                with pytest.raises(UniqueConflictError):
                    await node.enqueue_many(one("x", node, max_queued=5))

            async def measure(last: str) -> dict[str, tuple[int, int]]:
                new = str(uuid4())
                acts: dict[str, Callable[[], Awaitable[Any]]] = {
                    "queue": lambda: node.enqueue_many(one(new, node)),
                    "refuse": refuse,
                    "take": lambda: node.enqueue_many(one("x", node, "existing")),
                    "hand over": hand_over,
                    "cancel": Workflow(id=last, oban="node").cancel_jobs,
                    "retry": Workflow(id=last, oban="node").retry_jobs,
                    "pause": Workflow(id=last, oban="node").pause,
                    "tick": lambda: timers.tick(node._query),
                    "status": Workflow(id=last, oban="node").status,
                    "replace": lambda: node.enqueue_many(one(f"{new}-b", node, "replace")),
                }
                told = {}

                for _ in range(2):
                    for name, act in acts.items():
                        recorder.statements.clear()

                        with recorder.recording():
                            await act()

                        buffers = sum(one.buffers for one in recorder.statements)
                        told[name] = buffers, max(one.handled for one in recorder.statements)

                    new = str(uuid4())

                return told

            async def fill(count: int) -> None:
                lines = (one(f"{count}-{n:04}", oban) for n in range(count))
                await oban.enqueue_many([job for workflow in lines for job in workflow])

                if is_analyzed:
                    await conn.execute("VACUUM ANALYZE oban_workflow_groups")

            await fill(10)
            few = await measure("10-0009")
            await fill(1_000)
            many = await measure("1000-0999")

        more = {
            name: (few[name], many[name])
            for name in few
            if many[name][0] > 1.5 * few[name][0] + 30 or many[name][1] > few[name][1] + 30
        }
        assert not more, f"(buffers, rows) with a line of ten and of a thousand: {more}"
