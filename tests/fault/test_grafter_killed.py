"""Nodes that are killed while they graft: real processes, SIGKILL."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from oban._extensions import use_ext
from oban._lifeline import _rescue as plain_rescue
from psycopg.conninfo import make_conninfo

from oban_pro import Workflow
from tests.support import growth
from tests.support.engine import Engine
from tests.support.graphs import names, settled, work
from tests.support.paths import ROOT
from tests.support.silence import HEARD

type StartNode = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start_node(dsn: str) -> Iterator[StartNode]:
    """Provide a helper that starts a node in a process of its own, by name."""
    with ExitStack() as stack:

        def start(name: str) -> subprocess.Popen[bytes]:
            own = make_conninfo(dsn, application_name=name)
            command = [sys.executable, "-m", "tests.support.lone_node", own, name]
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT))
            stack.callback(process.kill)

            return process

        yield start


async def rescue(engine: Engine, node: str, wait_until: Any) -> None:
    """Rescue the jobs of a dead node, as if its last heartbeat was long ago.

    A statement of the node may still run when the node is dead already, and take jobs for it.
    """

    async def is_gone() -> bool:
        return not await engine.rows(
            "SELECT FROM pg_stat_activity WHERE application_name = %s", [node]
        )

    await wait_until(is_gone)
    await engine.rows(HEARD)
    await engine.rows(
        "UPDATE oban_producers SET updated_at = updated_at - interval '1 hour' WHERE node = %s",
        [node],
    )
    await engine.rows(
        "UPDATE oban_jobs SET attempted_at = attempted_at - interval '1 hour'"
        " WHERE state = 'executing' AND attempted_by[1] = %s",
        [node],
    )
    await use_ext("lifeline.rescue", plain_rescue, engine.query, 300.0)


async def wait_for_death(process: subprocess.Popen[bytes]) -> None:
    code = await asyncio.to_thread(process.wait, 30)
    assert code == -signal.SIGKILL


async def grafted(engine: Engine) -> list[tuple[str, int]]:
    """Count the workflows that were grafted to each grafter."""
    rows = await engine.rows(
        "SELECT m.name, count(s.key) FROM oban_workflow_groups g"
        " JOIN oban_workflow_members m ON m.id = g.key"
        " LEFT JOIN oban_workflow_groups s ON s.parent = g.key"
        " WHERE g.kind = 'graft' GROUP BY g.key, m.name ORDER BY g.key"
    )

    return [(name, count) for name, count in rows]


class TestKilledGrafter:
    async def test_after_its_graft_and_before_its_ack_grafts_once(
        self, engine: Engine, start_node: StartNode, start_oban: Any, wait_until: Any
    ) -> None:
        workflow = Workflow().add_graft("grow", growth.Perish.new({}))
        workflow.add_cascade("end", growth.received, deps="grow")
        await engine.enqueue(workflow)
        await wait_for_death(start_node("doomed"))

        assert await grafted(engine) == [("grow", 1)]
        grafter = await workflow.get_job("grow")
        assert grafter is not None
        assert grafter.state == "executing"

        await start_oban()
        await rescue(engine, "doomed", wait_until)
        await wait_until(lambda: settled(workflow), timeout=30)
        await engine.check()

        # The second attempt built something else, and was given what the first had grafted.
        assert await grafted(engine) == [("grow", 1)]
        grafter = await workflow.get_job("grow")
        assert grafter is not None
        assert grafter.attempt == 2
        assert await workflow.get_recorded("grow") == ["a", "b", "c"]
        end = await workflow.get_job("end")
        assert end is not None
        upstream = await workflow.all_jobs(deps_of=end)
        assert sorted(names(upstream)) == ["a", "b", "c", "grow"]
        assert (await workflow.status()).counts == {"completed": 5}

    async def test_before_it_returned_its_graft_has_grafted_nothing(
        self, engine: Engine, start_node: StartNode, start_oban: Any, wait_until: Any
    ) -> None:
        workflow = Workflow().add_graft("grow", growth.graft_and_perish)
        await engine.enqueue(workflow.add("end", work(), deps="grow"))
        await wait_for_death(start_node("doomed"))
        assert await grafted(engine) == [("grow", 0)]

        await start_oban()
        await rescue(engine, "doomed", wait_until)
        await wait_until(lambda: settled(workflow), timeout=30)
        await engine.check()
        assert await grafted(engine) == [("grow", 1)]
        assert (await workflow.status()).counts == {"completed": 4}

    async def test_at_any_moment_grafts_once(
        self, engine: Engine, start_node: StartNode, start_oban: Any, wait_until: Any
    ) -> None:
        workflow = Workflow()

        for n in range(60):
            job = growth.Grow.new({"jobs": 3}, max_attempts=10)
            workflow.add_graft(f"job {n}", job)
            workflow.add_graft(f"function {n}", growth.graft_pair, max_attempts=10)

        await engine.enqueue(workflow.add("end", work(max_attempts=10), deps=[*workflow._members]))

        for n in range(3):
            node = start_node(f"doomed {n}")
            target = 60 * (n + 1)

            async def has_gone_on(target: int = target) -> bool:
                return (await workflow.status()).counts["completed"] >= target

            await wait_until(has_gone_on, timeout=30)
            node.kill()
            await wait_for_death(node)
            await rescue(engine, f"doomed {n}", wait_until)

        await start_oban()
        await wait_until(lambda: settled(workflow), timeout=30)
        await engine.check()

        assert {count for _, count in await grafted(engine)} == {1}
        assert (await workflow.status()).counts == {"completed": 60 * (4 + 3) + 1}
