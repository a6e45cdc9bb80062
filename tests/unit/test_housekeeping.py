"""Duties beside the loops of an Oban instance."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from oban_pro._plugin import housekeeping

if TYPE_CHECKING:
    from oban_pro._host import Query


class Instance:
    """Stands for the query of an Oban instance, which is only passed on here."""


@pytest.fixture
def query() -> Query:
    return cast("Query", Instance())


class Work:
    """A duty that goes on until it is told to end."""

    __name__ = "work"

    def __init__(self) -> None:
        self.starts = 0
        self.may_end = asyncio.Event()

    async def __call__(self, _query: Query) -> None:
        self.starts += 1
        await self.may_end.wait()


class TestStart:
    async def test_starts_a_duty_that_does_not_run(self, query: Query) -> None:
        work = Work()

        for expected in (1, 2):
            housekeeping.start(query, work)
            housekeeping.start(query, work)
            await asyncio.sleep(0)
            assert work.starts == expected
            work.may_end.set()
            await housekeeping.stop(query)
            housekeeping.open_for(query)
            work.may_end.clear()

    async def test_goes_on_after_a_duty_that_fails(
        self, query: Query, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def do_something(_query: Query) -> None:
            raise RuntimeError("no")

        housekeeping.start(query, do_something)
        await housekeeping.stop(query)
        assert caplog.messages == ["Failed to do something"]


class TestStop:
    async def test_waits_for_what_runs(self, query: Query) -> None:
        work = Work()
        housekeeping.start(query, work)
        stopping = asyncio.create_task(housekeeping.stop(query))
        await asyncio.wait([stopping], timeout=0.01)
        assert not stopping.done()
        work.may_end.set()
        await stopping

    async def test_ends_what_takes_too_long(
        self, query: Query, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(housekeeping, "STOP_TIMEOUT", 0.01)
        housekeeping.start(query, Work())
        await housekeeping.stop(query)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "oban-workflows-work" not in names

    async def test_lets_nothing_start_afterwards(self, query: Query) -> None:
        work = Work()
        await housekeeping.stop(query)
        housekeeping.start(query, work)
        await asyncio.sleep(0)
        assert work.starts == 0
