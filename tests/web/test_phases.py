"""What jobs and groups did when, from the times that are kept of them."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from oban_pro.web.phases import find_phases, last_attempt

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def moment(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def at(second: float | None) -> datetime | None:
    return None if second is None else moment(second)


def job(state: str, **times: Any) -> dict[str, Any]:
    """Make a job that was inserted at 0; other times are in seconds after that."""
    failed = times.pop("failed", ())
    known = {"inserted": 0, "scheduled": 0, "attempted": None, "settled": None}
    attempt = times.pop("attempt", 1)
    found = {f"{name}_at": at(second) for name, second in (known | times).items()}

    return {
        "kind": "job",
        "state": state,
        "attempt": attempt,
        "failed_at": [at(second) for second in failed],
        **found,
    }


def group(counts: dict[str, int], retries: Any = None, **times: Any) -> dict[str, Any]:
    return job("executing", **times) | {
        "kind": "fan_out",
        "counts": Counter(counts),
        "total": sum(counts.values()),
        "retries": retries and (at(retries[0]), at(retries[1])),
    }


def shown(member: dict[str, Any], *, released: float | None = 0, now: float = 100) -> list[Any]:
    """Show phases in seconds."""
    return [
        (kind, (start - NOON).total_seconds(), (end - NOON).total_seconds())
        for kind, start, end in find_phases(member, at(released), NOON + timedelta(seconds=now))
    ]


class TestJob:
    def test_waits_until_it_is_due_then_queues_then_runs(self) -> None:
        member = job("completed", scheduled=5, attempted=7, settled=9)
        assert shown(member) == [("waiting", 0, 5), ("queued", 5, 7), ("running", 7, 9)]

    def test_that_took_no_time_ran_nevertheless(self) -> None:
        assert shown(job("completed", attempted=0, settled=0)) == [("running", 0, 0)]

    def test_that_is_suspended_waits_until_now(self) -> None:
        assert shown(job("suspended", attempt=0), released=None) == [("waiting", 0, 100)]

    def test_that_is_available_queues_until_now(self) -> None:
        assert shown(job("available", attempt=0, scheduled=5)) == [
            ("waiting", 0, 5),
            ("queued", 5, 100),
        ]

    def test_that_executes_runs_until_now(self) -> None:
        assert shown(job("executing", attempted=0)) == [("running", 0, 100)]

    def test_retries_from_its_release_until_the_last_attempt_was_due(self) -> None:
        member = job(
            "completed", attempt=3, scheduled=50, attempted=52, settled=60, failed=[10, 30]
        )
        assert shown(member, released=4) == [
            ("waiting", 0, 4),
            ("retries", 4, 50),
            ("queued", 50, 52),
            ("running", 52, 60),
        ]

    def test_that_is_retryable_ran_until_it_failed(self) -> None:
        member = job("retryable", scheduled=120, attempted=5, failed=[8])
        assert shown(member) == [("waiting", 0, 5), ("running", 5, 8), ("retries", 8, 100)]

    def test_that_is_discarded_ran_until_then(self) -> None:
        member = job("discarded", attempted=0, settled=3, failed=[2.9])
        assert shown(member) == [("running", 0, 3)]

    def test_that_was_rescued_ran_nobody_knows_when_before(self) -> None:
        member = job("completed", attempt=2, scheduled=1, attempted=80, settled=90)
        assert shown(member, released=1) == [
            ("waiting", 0, 1),
            ("retries", 1, 80),
            ("running", 80, 90),
        ]

    def test_that_was_snoozed_waits_again(self) -> None:
        member = job("scheduled", scheduled=300, attempted=5)
        assert shown(member) == [("waiting", 0, 5), ("running", 5, 5), ("waiting", 5, 100)]

    def test_whose_row_is_gone_has_none(self) -> None:
        assert shown(job("deleted", inserted=None, scheduled=None)) == []


class TestGroup:
    def test_waits_for_what_it_depends_on_then_queues_then_runs(self) -> None:
        member = group({"completed": 2}, attempted=6, settled=9)
        assert shown(member, released=4) == [
            ("waiting", 0, 4),
            ("queued", 4, 6),
            ("running", 6, 9),
        ]

    def test_that_is_not_released_waits_until_now(self) -> None:
        assert shown(group({"suspended": 2}), released=None) == [("waiting", 0, 100)]

    def test_that_is_released_queues_until_now(self) -> None:
        assert shown(group({"available": 2}), released=4) == [
            ("waiting", 0, 4),
            ("queued", 4, 100),
        ]

    def test_retries_from_the_first_failure_to_the_last_start(self) -> None:
        member = group({"completed": 2}, (3, 8), attempted=0, settled=9)
        assert shown(member) == [("running", 0, 9), ("retries", 3, 8)]

    def test_retries_until_now_while_a_job_is_retryable(self) -> None:
        member = group({"retryable": 1}, (3, 8), attempted=0)
        assert shown(member) == [("running", 0, 100), ("retries", 3, 100)]

    def test_that_nothing_is_in_waited_until_its_release(self) -> None:
        empty = group({}) | {"state": "completed"}
        assert shown(empty, released=5) == [("waiting", 0, 5)]

    def test_that_was_grafted_does_nothing_before_it_is_there(self) -> None:
        grafted = group({"executing": 1}, inserted=20, attempted=30)
        assert shown(grafted, released=5) == [("queued", 20, 30), ("running", 30, 100)]


class TestLastAttempt:
    def test_goes_on_while_the_job_runs(self) -> None:
        assert last_attempt(job("executing", attempted=3), []) == (at(3), None)

    def test_ended_when_the_job_settled(self) -> None:
        assert last_attempt(job("completed", attempted=3, settled=9), [moment(1)]) == (at(3), at(9))

    def test_of_a_job_that_is_retried_ended_when_it_failed(self) -> None:
        failed = [moment(1), moment(7)]
        assert last_attempt(job("retryable", attempted=3, scheduled=60), failed) == (at(3), at(7))

    def test_of_a_job_that_was_cancelled_between_two_ended_when_it_failed(self) -> None:
        assert last_attempt(job("cancelled", attempted=3, settled=50), [moment(7)]) == (
            at(3),
            at(7),
        )

    def test_of_a_job_that_was_snoozed_ended_nobody_knows_when(self) -> None:
        assert last_attempt(job("scheduled", attempted=3, scheduled=60), []) is None
