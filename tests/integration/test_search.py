"""Attributes, searching, and one thing done to all workflows that are found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from oban_pro import Workflow
from oban_pro.engine.session import session_of
from oban_pro.errors import (
    InvalidArgumentError,
    InvalidOptionError,
    OpenWorkflowError,
    UnknownWorkflowError,
)
from oban_pro.handles import searching
from oban_pro.handles.searching import check_filters
from tests.support.engine import Engine
from tests.support.explained import Recorder, explaining
from tests.support.graphs import work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection


def flow(id: str, **options: Any) -> Workflow:
    return Workflow(id=id, **options).add("a", work())


async def ids(found: AsyncIterator[Workflow]) -> list[str]:
    return [workflow.id async for workflow in found]


async def age(conn: AsyncConnection, id: str, **by: float) -> None:
    await conn.execute(
        "UPDATE oban_workflow_groups SET inserted_at = inserted_at - %s WHERE id = %s",
        [timedelta(**by), id],
    )


class TestAttributes:
    async def test_are_true_to_their_type(self, engine: Engine) -> None:
        for id, value in [("int", 1), ("bool", True), ("text", "1"), ("null", None)]:
            await engine.enqueue(flow(id, attributes={"x": value, "y": "same"}))

        assert await ids(Workflow.search(attributes={"x": 1})) == ["int"]
        assert await ids(Workflow.search(attributes={"x": True})) == ["bool"]
        assert await ids(Workflow.search(attributes={"x": "1"})) == ["text"]
        assert await ids(Workflow.search(attributes={"x": None})) == ["null"]
        assert len(await ids(Workflow.search(attributes={"y": "same"}))) == 4
        assert await ids(Workflow.search(attributes={"x": 1, "y": "other"})) == []

    async def test_are_in_the_status_and_stay_those_of_an_id_that_exists(
        self, engine: Engine
    ) -> None:
        await engine.enqueue(flow("one", attributes={"tenant": "acme", "size": 2.5}))
        await engine.enqueue(flow("one", attributes={"tenant": "other"}))

        assert (await Workflow(id="one").status()).attributes == {"tenant": "acme", "size": 2.5}
        assert (await Workflow(id="none").status()).attributes == {}

    @pytest.mark.parametrize(
        ("attributes", "error", "text"),
        [
            ({"x": [1]}, InvalidArgumentError, "attribute 'x' must be a str, number, bool or None"),
            ({"x": float("nan")}, InvalidOptionError, "attribute 'x' must be finite"),
            ({"x": 2**63}, InvalidOptionError, "attribute 'x' must have 64 bits"),
            (["x"], InvalidArgumentError, "attributes must be a dict"),
            ({1: "x"}, Exception, "name of an attribute"),
            ({"x": "a\0b"}, Exception, "attribute 'x'"),
        ],
    )
    def test_that_cannot_be_stored_are_refused(
        self, attributes: Any, error: type[Exception], text: str
    ) -> None:
        with pytest.raises(error, match=text):
            Workflow(attributes=attributes)

    async def test_belong_to_roots_alone(self, engine: Engine) -> None:
        nested = flow("nested", attributes={"tenant": "acme"})

        with pytest.raises(
            InvalidArgumentError, match="sub_workflow 'sub' must have no attributes"
        ):
            Workflow().add_workflow("sub", nested)

        await engine.enqueue(flow("one"))

        with pytest.raises(InvalidArgumentError, match="an addition must have no attributes"):
            await Workflow(id="one").append(nested)


class TestSearch:
    async def test_finds_by_name_state_and_time_newest_first(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        for number, name in enumerate(["nightly", "hourly", "nightly", None]):
            await engine.enqueue(flow(f"w{number}", name=name))
            await age(conn, f"w{number}", hours=4 - number)

        await Workflow(id="w2").cancel_jobs()
        now = datetime.now(UTC)
        hours = [now - timedelta(hours=n, minutes=30) for n in range(5)]

        assert await ids(Workflow.search()) == ["w3", "w2", "w1", "w0"]
        assert await ids(Workflow.search(name="nightly")) == ["w2", "w0"]
        assert await ids(Workflow.search(name="night")) == []
        assert await ids(Workflow.search(state="cancelled")) == ["w2"]
        assert await ids(Workflow.search(name="nightly", state="executing")) == ["w0"]
        assert await ids(Workflow.search(since=hours[2])) == ["w3", "w2"]
        assert await ids(Workflow.search(until=hours[2])) == ["w1", "w0"]

    async def test_reads_pages_in_order_also_of_one_moment(
        self, engine: Engine, conn: AsyncConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(searching, "PAGE", 3)

        for number in range(10):
            await engine.enqueue(flow(f"w{number}"))

        await conn.execute("UPDATE oban_workflow_groups SET inserted_at = '2026-01-01'")

        assert await ids(Workflow.search()) == [f"w{number}" for number in reversed(range(10))]

    async def test_a_search_finds_root_workflows_alone(self, engine: Engine) -> None:
        await engine.enqueue(Workflow(id="root").add_workflow("sub", flow("nested", name="x")))

        assert await ids(Workflow.search()) == ["root"]
        assert await ids(Workflow.search(name="x")) == []

    async def test_refuses_what_it_cannot_look_for(self, engine: Engine) -> None:
        with pytest.raises(InvalidOptionError, match="state must be one of executing"):
            await ids(Workflow.search(state="running"))  # type: ignore[arg-type]

        with pytest.raises(InvalidArgumentError, match="since must be a datetime with a timezone"):
            await ids(Workflow.search(since=datetime(2026, 1, 1)))


MANY = """
INSERT INTO oban_workflow_groups (
  key, id, root, name, total, completed, cancelled, announced, inserted_at, stopped_at, attributes
) OVERRIDING SYSTEM VALUE
SELECT
  -n,
  'w' || n,
  -n,
  CASE WHEN n % 10 < 6 THEN 'nightly' ELSE 'other-' || n % 2000 END,
  1,
  -- all that are cancelled are old
  (n < 99000 AND NOT (n < 20000 AND n % 10 = 3))::int,
  (n < 20000 AND n % 10 = 3)::int,
  true,
  timezone('UTC', now()) - (100001 - n) * interval '1 minute',
  timezone('UTC', now()) - (100000 - n) * interval '1 minute',
  jsonb_build_object('tenant', 't' || n % 1009, 'region', (ARRAY['eu', 'us'])[1 + n / 7 % 2])
FROM
  generate_series(1, 100000) AS n
"""


@pytest.mark.slow
class TestPagesOfTables:
    async def test_that_a_search_reads_are_few_whatever_it_is_for(
        self, dsn: str, conn: AsyncConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await conn.execute(MANY.encode())
        await conn.execute("VACUUM ANALYZE oban_workflow_groups")
        monkeypatch.setattr(searching, "PAGE", 20)
        recorder = Recorder()
        recorder.install(monkeypatch)
        now = datetime.now(UTC)
        filters: list[dict[str, Any]] = [
            {"attributes": {"tenant": "t7"}},
            {"attributes": {"region": "eu"}},
            {"name": "nightly"},
            {"name": "other-1017"},
            {"state": "executing"},
            {"state": "completed"},
            {"state": "cancelled"},
            {"since": now - timedelta(days=1)},
            {"until": now - timedelta(days=30)},
        ]
        pairs = [one | other for one, other in combinations(filters, 2) if not one.keys() & other]

        async with AsyncConnectionPool(explaining(dsn), min_size=1, open=False) as pool:
            place = session_of(Oban(pool=pool)._query)

            for given in [*filters, *pairs]:
                with recorder.recording():
                    await anext(searching.search(place, check_filters(**given)), None)

                (statement,) = [one for one in recorder.statements if "Root workflows" in one.text]
                recorder.statements.clear()
                assert statement.buffers <= 300, (given, str(statement))


class TestAll:
    async def test_changes_what_is_found_and_yields_it(self, engine: Engine) -> None:
        for tenant in ("acme", "acme", "other"):
            await engine.enqueue(Workflow(attributes={"tenant": tenant}).add("a", work()))

        acme = {"tenant": "acme"}
        planned = await ids(Workflow.cancel_all(attributes=acme, dry_run=True))
        assert len(planned) == 2
        assert len(await ids(Workflow.search(state="executing"))) == 3

        cancel = Workflow.cancel_all(attributes=acme, by="ada", reason="no disk")
        assert await ids(cancel) == planned
        (failure, *_) = (await Workflow(id=planned[0]).outcome()).failed
        assert failure.message == "cancelled by ada: no disk"
        assert await ids(Workflow.cancel_all(attributes=acme)) == []
        assert await ids(Workflow.search(state="cancelled")) == planned

        assert await ids(Workflow.retry_all(attributes=acme)) == planned
        assert await ids(Workflow.pause_all(attributes=acme, by="ada")) == planned
        assert await ids(Workflow.pause_all(attributes=acme)) == []
        assert await ids(Workflow.delete_all(attributes=acme)) == []

        await ids(Workflow.cancel_all(everything=True))
        assert len(await ids(Workflow.delete_all(everything=True))) == 3
        assert await ids(Workflow.search()) == []

    async def test_is_refused_without_a_filter(self, engine: Engine) -> None:
        for call in (Workflow.cancel_all, Workflow.retry_all, Workflow.pause_all):
            with pytest.raises(InvalidArgumentError, match="or everything=True"):
                await ids(call())

    async def test_goes_on_where_a_workflow_has_gone_since(self, engine: Engine) -> None:
        for id in ("a", "b", "c"):
            await engine.enqueue(flow(id))

        found = Workflow.cancel_all(everything=True)
        assert (await anext(found)).id == "c"
        await Workflow(id="b").cancel_jobs()
        await Workflow(id="b").delete()

        assert [workflow.id async for workflow in found] == ["a"]


class TestDelete:
    async def test_removes_a_settled_workflow_whole(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        sub = Workflow().add("b", work())
        await engine.enqueue(Workflow(id="one").add("a", work()).add_workflow("sub", sub, deps="a"))

        with pytest.raises(OpenWorkflowError, match="workflow 'one' is open; cancel it first"):
            await Workflow(id="one").delete()

        await Workflow(id="one").cancel_jobs()
        await Workflow(id="one").delete()

        for table in ("jobs", "workflow_groups", "workflow_members", "workflow_edges"):
            cursor = await conn.execute(f"SELECT count(*) FROM oban_{table}".encode())
            assert await cursor.fetchone() == (0,)

        assert (await Workflow(id="one").status()).state == "unknown"
        await engine.enqueue(flow("one"))
        assert (await Workflow(id="one").status()).total == 1

    async def test_of_what_is_not_there_is_an_error(self, engine: Engine) -> None:
        with pytest.raises(UnknownWorkflowError, match="there is no workflow 'none'"):
            await Workflow(id="none").delete()

        await engine.enqueue(Workflow(id="root").add_workflow("sub", flow("nested")))

        with pytest.raises(InvalidArgumentError, match="'nested' is part of another one"):
            await Workflow(id="nested").delete()


class TestKeep:
    async def test_lets_the_pruner_pass_over_a_workflow(
        self, engine: Engine, conn: AsyncConnection
    ) -> None:
        for id in ("kept", "pruned"):
            await engine.enqueue(flow(id))
            await Workflow(id=id).cancel_jobs()

        async def prune() -> None:
            await conn.execute('SELECT oban_workflow_prune_v1(0, 1000, \'{"stage": "workflows"}\')')

        await Workflow(id="kept").keep(timedelta(days=1))
        await prune()
        assert await ids(Workflow.search()) == ["kept"]

        await Workflow(id="kept").keep(datetime.now(UTC) + timedelta(hours=1))
        await prune()
        assert await ids(Workflow.search()) == ["kept"]

        await Workflow(id="kept").keep(None)
        await prune()
        assert await ids(Workflow.search()) == []

    async def test_refuses_what_is_no_time(self, engine: Engine) -> None:
        with pytest.raises(UnknownWorkflowError):
            await Workflow(id="none").keep(10)

        with pytest.raises(InvalidArgumentError, match="until must have a timezone"):
            await Workflow(id="none").keep(datetime(2026, 1, 1))
