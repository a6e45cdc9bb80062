"""The sum over a tree of groups."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from oban_pro.model.status import GroupCounts, WorkflowStatus, build_status

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def minutes(count: int) -> datetime:
    return NOON + timedelta(minutes=count)


def group(key: int, parent: int | None = None, **fields: Any) -> GroupCounts:
    defaults: dict[str, Any] = {
        "id": f"id{key}",
        "name": None,
        "kind": "workflow" if parent is None else "sub",
        "sub_name": None if parent is None else f"sub{key}",
        "state": "completed",
        "counts": Counter(),
        "started_at": None,
        "stopped_at": None,
    }
    return GroupCounts(key=key, parent=parent, **defaults | fields)


class TestBuildStatus:
    def test_counts_jobs_of_all_levels(self) -> None:
        status = build_status(
            [
                group(1, counts=Counter(completed=1)),
                group(2, 1, counts=Counter(completed=2, discarded=1)),
                group(3, 2, counts=Counter(cancelled=4)),
            ]
        )
        assert status.counts == Counter(completed=3, discarded=1, cancelled=4)
        assert status.total == 8
        assert status.subs["sub2"].total == 7
        assert status.subs["sub2"].subs["sub3"].counts == Counter(cancelled=4)

    def test_reads_0_for_a_state_without_jobs(self) -> None:
        status = build_status([group(1, counts=Counter(completed=1))])
        assert status.counts["executing"] == 0
        assert set(status.counts) == {"completed"}

    def test_lists_subs_in_the_order_of_the_groups(self) -> None:
        status = build_status([group(1), group(9, 1), group(5, 1), group(7, 1)])
        assert list(status.subs) == ["sub9", "sub5", "sub7"]

    def test_spans_from_the_first_start_to_the_last_stop(self) -> None:
        status = build_status(
            [
                group(1, started_at=minutes(5), stopped_at=minutes(6)),
                group(2, 1, started_at=minutes(1), stopped_at=minutes(2)),
                group(3, 1, started_at=minutes(7), stopped_at=minutes(9)),
            ]
        )
        assert (status.started_at, status.stopped_at) == (minutes(1), minutes(9))
        assert status.duration == timedelta(minutes=8)

    def test_has_no_end_before_everything_settled(self) -> None:
        status = build_status(
            [
                group(1, state="executing", started_at=minutes(1), stopped_at=minutes(2)),
                group(2, 1, started_at=minutes(1), stopped_at=minutes(2)),
            ]
        )
        assert status.started_at == minutes(1)
        assert status.stopped_at is None
        assert status.duration is None
        assert status.subs["sub2"].duration == timedelta(minutes=1)

    def test_has_no_duration_where_nothing_ever_started(self) -> None:
        status = build_status([group(1, state="cancelled", stopped_at=minutes(2))])
        assert (status.started_at, status.stopped_at) == (None, minutes(2))
        assert status.duration is None

    def test_sums_up_a_thousand_levels(self) -> None:
        groups = [group(1, counts=Counter(completed=1))]
        groups += [group(n, n - 1, counts=Counter(completed=1)) for n in range(2, 1001)]
        assert build_status(groups).total == 1000


class TestWorkflowStatus:
    def test_is_unknown_by_default(self) -> None:
        status = WorkflowStatus("id")
        assert (status.state, status.total, status.counts["completed"]) == ("unknown", 0, 0)
        assert (status.duration, status.started_at, status.stopped_at) == (None, None, None)
        assert status.subs == {}
