"""What nobody should pass in, and somebody will: it is refused, or comes out as it went in."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from oban import Record, Worker, worker
from psycopg import AsyncConnection

from oban_pro import Workflow
from oban_pro.errors import WorkflowError
from tests.support.fixtures import WaitUntil
from tests.support.graphs import Work, settled, work
from tests.support.recount import assert_consistent

if TYPE_CHECKING:
    from collections.abc import Callable

    from oban import Job, Oban

    from tests.support.fixtures import StartOban

pytestmark = pytest.mark.slow


def deep(levels: int) -> list[Any]:
    value: list[Any] = []

    for _ in range(levels):
        value = [value]

    return value


TEXTS = {
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "long": "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(660)),
    "megabyte": "x" * 1_000_000,
    "sql": "'; DROP TABLE oban_jobs; --",
    "placeholder": "%(id)s %s {} $1 :name",
    "path": "../../etc/passwd\\..\\",
    "mermaid": '"]-->x[("%%{init}%%`',
    "control": "\x01\x1b[31m\r\n\t",
    # six bytes each in a notification, which has room for 8,000
    "controls": "\x01" * 1_400,
    "bidi": "\u202eevil\u2066\ufeff",
    "beyond": "\U0010ffff\uffff",
}
VALUES = {
    **TEXTS,
    "shallow": deep(50),
    "deep": deep(100_000),
    "nan": float("nan"),
    "infinity": float("inf"),
    "huge": 10**400,
    "keys": {"\0": 1, "'": 2},
}


async def give(context: dict[str, Any]) -> Any:
    return VALUES[context["which"]]


async def take(item: Any, context: dict[str, Any]) -> bool:
    return same(item, VALUES[context["which"]])


async def look(context: dict[str, Any]) -> bool:
    return same(context["value"], VALUES[context["which"]])


async def read(context: dict[str, Any]) -> Any:
    return context["up"]


def same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one != one and other != other)


@worker()
class Records(Worker):
    async def process(self, job: Job) -> Any:
        return Record(VALUES[job.args["which"]])


@pytest.fixture
async def node(start_oban: StartOban) -> Oban:
    return await start_oban({"default": 5})


async def is_refused(oban: Oban, conn: AsyncConnection, build: Callable[[], Workflow]) -> bool:
    """Enqueue a workflow; tell whether that was refused, which must leave nothing."""
    try:
        await oban.enqueue_many(build())
    except (WorkflowError, ValueError, TypeError):
        cursor = await conn.execute("SELECT count(*) FROM oban_jobs")
        assert await cursor.fetchone() == (0,)

        return True

    return False


async def finish(workflow: Workflow, conn: AsyncConnection, wait_until: WaitUntil) -> None:
    await wait_until(lambda: settled(workflow), timeout=30)
    await assert_consistent(conn)


@pytest.mark.parametrize("which", TEXTS)
class TestNames:
    async def test_hostile_names_of_jobs_do_no_harm(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str
    ) -> None:
        name = TEXTS[which]

        def build() -> Workflow:
            return Workflow(id="w").add(name, work("cancel")).add("after", work(), deps=name)

        if await is_refused(node, conn, build):
            return

        handle = Workflow(id="w")
        await finish(handle, conn, wait_until)
        job = await handle.get_job(name)
        assert job is not None
        assert job.meta["name"] == name
        assert (await handle.status()).counts == {"cancelled": 2}
        assert await handle.retry_jobs(names=[name]) == 1

    async def test_hostile_names_of_groups_do_no_harm(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str
    ) -> None:
        name = TEXTS[which]

        def build() -> Workflow:
            sub = Workflow(name=name).add("x", work())
            return Workflow(id="w", name=name).add_workflow(name, sub).add("y", work(), deps=name)

        if await is_refused(node, conn, build):
            return

        handle = Workflow(id="w")
        await finish(handle, conn, wait_until)
        assert [*(await handle.status()).subs] == [name]

    async def test_hostile_names_of_workflows_do_no_harm(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str
    ) -> None:
        def build() -> Workflow:
            return Workflow(id=TEXTS[which]).add("x", work())

        if await is_refused(node, conn, build):
            return

        handle = Workflow(id=TEXTS[which])
        await finish(handle, conn, wait_until)
        assert (await handle.status()).state == "completed"


@pytest.mark.parametrize("which", VALUES)
class TestValues:
    async def test_hostile_args_do_no_harm(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str
    ) -> None:
        def build() -> Workflow:
            return Workflow(id="w").add("x", Work.new({"value": VALUES[which]}))

        if await is_refused(node, conn, build):
            return

        await finish(Workflow(id="w"), conn, wait_until)
        job = await Workflow(id="w").get_job("x")
        assert job is not None
        assert same(job.args["value"], VALUES[which])

    async def test_hostile_context_does_no_harm(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str
    ) -> None:
        def build() -> Workflow:
            context = {"which": which, "value": VALUES[which]}
            return Workflow(id="w").add_context(context).add_cascade("x", look)

        if await is_refused(node, conn, build):
            return

        await finish(Workflow(id="w"), conn, wait_until)
        assert await Workflow(id="w").all_recorded() == {"x": True}

    async def test_hostile_items_do_no_harm(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str
    ) -> None:
        def build() -> Workflow:
            workflow = Workflow(id="w").add_context({"which": which})
            return workflow.add_cascade("x", ([VALUES[which]], take))

        if await is_refused(node, conn, build):
            return

        await finish(Workflow(id="w"), conn, wait_until)
        assert await Workflow(id="w").all_recorded() == {"x": {"0": True}}

    @pytest.mark.parametrize("by", ["cascade", "worker"])
    async def test_as_results_settle_the_job(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str, by: str
    ) -> None:
        workflow = Workflow(id="w").add_context({"which": which})

        if by == "cascade":
            workflow.add_cascade("x", give, max_attempts=1)
        else:
            workflow.add("x", Records.new({"which": which}, max_attempts=1))

        await node.enqueue_many(workflow)
        await finish(workflow, conn, wait_until)
        job = await workflow.get_job("x")
        assert job is not None

        if job.state == "completed":
            assert same((await workflow.all_recorded())["x"], VALUES[which])
        else:
            assert job.state == "discarded"
            assert job.errors


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


CRAFTED: dict[str, Any] = {
    "no base64": "*** not base64 ***",
    "nothing": "",
    "no number": 17,
    "wrong version": encoded(b"\x82\x61\x01"),
    "truncated": encoded(b"\x83\x6d\x00\x00\x00\x10abc"),
    "huge binary": encoded(b"\x83\x6d\xff\xff\xff\xffa"),
    "huge list": encoded(b"\x83\x6c\xff\xff\xff\xff\x61\x01"),
    "huge map": encoded(b"\x83\x74\xff\xff\xff\xff\x61\x01\x61\x01"),
    "huge integer": encoded(b"\x83\x6f\xff\xff\xff\xff\x00\x01"),
    "unknown tag": encoded(b"\x83\xff\x01"),
    "compressed bomb": encoded(b"\x83\x50\xff\xff\xff\xff\x78\x9c\x03\x00\x00\x00\x00\x01"),
    "function": encoded(b"\x83\x71\x64\x00\x02os\x64\x00\x06system\x61\x01"),
    "deep": encoded(b"\x83" + b"\x6c\x00\x00\x00\x01" * 100_000),
}


@pytest.mark.parametrize("which", CRAFTED)
class TestCraftedResults:
    async def test_fail_the_job_that_reads_them(
        self, node: Oban, conn: AsyncConnection, wait_until: WaitUntil, which: str
    ) -> None:
        workflow = (
            Workflow(id="w")
            .add("up", work("snooze"))
            .add_cascade("down", read, deps="up", max_attempts=1)
        )
        await node.enqueue_many(workflow)
        await conn.execute(
            "UPDATE oban_jobs SET meta = meta || jsonb_build_object('recorded', true, 'return',"
            " %s::jsonb) WHERE meta ->> 'name' = 'up'",
            (json.dumps(CRAFTED[which]),),
        )
        await finish(workflow, conn, wait_until)
        job = await workflow.get_job("down")
        assert job is not None
        assert job.state == "discarded"
        (error,) = job.errors
        assert "up" in str(error)
