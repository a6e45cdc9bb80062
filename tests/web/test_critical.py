"""The critical path of small graphs."""

from datetime import UTC, datetime, timedelta

from oban_pro.web.critical import Span, critical_path

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def span(name: str, end: int | None, parent: str | None = "root") -> Span:
    return Span(name, parent, None if end is None else NOON + timedelta(seconds=end))


class TestCriticalPath:
    def test_goes_back_from_what_ended_last_through_what_it_waited_for_longest(self) -> None:
        spans = [span("root", 9, None), span("a", 2), span("b", 5), span("c", 9), span("d", 3)]
        edges = [("a", "c"), ("b", "c"), ("a", "d")]
        assert critical_path(spans, edges) == {"root", "b", "c"}

    def test_goes_on_inside_the_groups_on_it(self) -> None:
        spans = [
            span("root", 9, None),
            span("fast", 4),
            span("slow", 9),
            span("in fast", 4, "fast"),
            span("first", 6, "slow"),
            span("second", 9, "slow"),
        ]
        path = critical_path(spans, [("first", "second")])
        assert path == {"root", "slow", "first", "second"}

    def test_leaves_out_what_has_not_started(self) -> None:
        spans = [span("root", 2, None), span("a", 2), span("b", None)]
        assert critical_path(spans, [("a", "b")]) == {"root", "a"}

    def test_of_nothing_started_is_empty(self) -> None:
        assert critical_path([span("root", None, None), span("a", None)], []) == set()
