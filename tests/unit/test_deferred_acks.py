"""Acks that are kept aside, and when they are tried again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from oban import Job
from oban._executor import AckAction
from psycopg.errors import LockNotAvailable, RaiseException

from oban_pro._plugin import deferred_acks
from oban_pro.engine.results import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro._host import Query

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = LockNotAvailable("held")


class Instance:
    """Stands for the query of an Oban instance, which is only looked up here."""


@pytest.fixture
def query() -> Query:
    return cast("Query", Instance())


def ack(job_id: int, workflow_id: str | None = None) -> AckAction:
    meta = {} if workflow_id is None else {"workflow_id": workflow_id}

    return AckAction(Job("worker", id=job_id, attempted_at=NOW, meta=meta), "completed")


class Settling:
    """Settles what is not held, and keeps the rest again."""

    def __init__(self, *held: int) -> None:
        self.held = {*held}
        self.calls: list[tuple[list[int | None], bool]] = []

    async def __call__(self, query: Query, acks: Sequence[AckAction], waits: bool) -> None:
        self.calls.append(([one.id for one in acks], waits))

        for one in acks:
            if one.id in self.held:
                deferred_acks.keep(query, one, ERROR)


class TestKeep:
    def test_remembers_an_ack_once(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1), ERROR)
        deferred_acks.keep(query, ack(1), ERROR)
        assert deferred_acks.count(query) == 1
        assert deferred_acks.held(query) == {Execution(1, NOW)}

    def test_refuses_one_too_many(self, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deferred_acks, "MOST", 2)
        deferred_acks.keep(query, ack(1), ERROR)
        deferred_acks.keep(query, ack(2), ERROR)
        deferred_acks.keep(query, ack(2), ERROR)

        with pytest.raises(LockNotAvailable):
            deferred_acks.keep(query, ack(3), ERROR)

        assert deferred_acks.count(query) == 2


class TestPutWithOthers:
    def test_puts_acks_of_the_same_workflow_aside(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1, "a"), ERROR)
        acks = [ack(2, "a"), ack(3, "b"), ack(4)]
        assert [one.id for one in deferred_acks.put_with_others(query, acks)] == [3, 4]
        assert deferred_acks.count(query) == 2

    def test_leaves_the_workflow_of_a_refused_ack_alone(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1, "a"), RaiseException("refused"))
        assert len(deferred_acks.put_with_others(query, [ack(2, "a")])) == 1

    def test_leaves_plain_jobs_apart_from_each_other(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1), ERROR)
        assert len(deferred_acks.put_with_others(query, [ack(2)])) == 1


class TestRetry:
    async def test_forgets_what_has_settled(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1, "a"), ERROR)
        deferred_acks.keep(query, ack(2), ERROR)
        settling = Settling()
        await deferred_acks.retry(query, settling)
        await deferred_acks.retry(query, settling)
        assert settling.calls == [([1, 2], False)]
        assert deferred_acks.count(query) == 0

    async def test_waits_for_what_was_passed_over_workflow_by_workflow(self, query: Query) -> None:
        for job_id, workflow_id in enumerate("aab"):
            deferred_acks.keep(query, ack(job_id + 1, workflow_id), ERROR)

        settling = Settling(1, 2)
        await deferred_acks.retry(query, settling)
        assert settling.calls == [([1, 2, 3], False), ([1, 2], True)]
        assert deferred_acks.count(query) == 2

    async def test_leaves_what_is_held_alone_for_a_while(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1), ERROR)
        settling = Settling(1)
        await deferred_acks.retry(query, settling)
        await deferred_acks.retry(query, settling)
        assert settling.calls == [([1], False), ([1], True), ([1], False)]
        await deferred_acks.retry(query, settling, all_at_once=True)
        assert settling.calls[3:] == [([1], False), ([1], True)]

    async def test_tries_one_ack_of_what_is_held_and_all_when_that_has_settled(
        self, query: Query
    ) -> None:
        for job_id, workflow_id in enumerate("aaabb", 1):
            deferred_acks.keep(query, ack(job_id, workflow_id), ERROR)

        settling = Settling(1, 2, 3, 4, 5)
        await deferred_acks.retry(query, settling)
        del settling.calls[:]
        await deferred_acks.retry(query, settling)
        assert settling.calls == [([1, 4], False)]
        assert deferred_acks.count(query) == 5

        settling.held = {4, 5}
        del settling.calls[:]
        await deferred_acks.retry(query, settling)
        assert settling.calls == [([2, 5], False), ([3, 1], False)]
        assert deferred_acks.held(query) == {Execution(4, NOW), Execution(5, NOW)}

    async def test_leaves_what_was_refused_alone_for_a_while(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1), RaiseException("refused"))
        calls = 0

        async def refuse(query: Query, acks: Sequence[AckAction], waits: bool) -> None:
            nonlocal calls
            calls += 1
            deferred_acks.keep(query, acks[0], RaiseException("refused"))

        await deferred_acks.retry(query, refuse)
        tried = calls
        await deferred_acks.retry(query, refuse)
        assert calls == tried

    async def test_keeps_all_if_the_database_is_away(self, query: Query) -> None:
        deferred_acks.keep(query, ack(1), ERROR)

        async def fail(*_: Any) -> None:
            assert deferred_acks.held(query) == {Execution(1, NOW)}
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await deferred_acks.retry(query, fail)

        assert deferred_acks.held(query) == {Execution(1, NOW)}
