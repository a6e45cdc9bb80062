"""Sentences and durations for people."""

from datetime import UTC, datetime, timedelta

import pytest

from oban_pro.model.evidence import Link
from oban_pro.model.explanation import Explanation
from oban_pro.model.wording import human_duration

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class TestHumanDuration:
    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (-1, "0.0s"),
            (0.04, "0.0s"),
            (9.96, "10.0s"),
            (10, "10s"),
            (59.6, "1m"),
            (61, "1m 1s"),
            (3600, "1h"),
            (3661, "1h 1m"),
            (90_000, "1d 1h"),
        ],
    )
    def test_writes_the_biggest_units(self, seconds: float, expected: str) -> None:
        assert human_duration(timedelta(seconds=seconds)) == expected

    def test_writes_a_single_one_where_asked(self) -> None:
        assert human_duration(timedelta(seconds=3661), units=1) == "1h"


class TestSummary:
    @pytest.mark.parametrize("error", ["{x}", "a { b", "%s", "{0}"])
    def test_takes_braces_in_an_error_as_they_are(self, error: str) -> None:
        link = Link(("{a}",), "job", "cancelled", error=error)
        found = Explanation("w", NOW, (link,), ())
        assert found.summary == f"job '{{a}}' was cancelled: {error}"

    def test_of_a_time_that_has_passed_says_that_nobody_took_the_job(self) -> None:
        link = Link(("a",), "job", "scheduled", queue="q", scheduled_at=NOW - timedelta(seconds=1))
        assert Explanation("w", NOW, (link,), ()).reason == "unserved"

    @pytest.mark.parametrize(
        ("code", "told"), [("__main__:load", True), ("__main__.Load", True), ("shop:load", False)]
    )
    def test_of_code_of_a_program_says_where_to_put_it(self, code: str, told: bool) -> None:
        link = Link(("a",), "job", "scheduled", scheduled_at=NOW, unknown_code=code)
        found = Explanation("w", NOW, (link,), ())
        assert found.reason == "deferred"
        assert found.summary.endswith("put it in a module that nodes can import") == told

    def test_on_a_standby_says_that_the_nodes_are_not_known(self) -> None:
        link = Link(("a",), "job", "available", queue="q", nodes=None, paused=None, alive=None)
        found = Explanation("w", NOW, (link,), ())
        assert found.reason == "queued"
        assert found.summary == (
            "job 'a' is next in queue 'q'; a standby cannot know which nodes run it"
        )

    def test_on_a_standby_takes_nobody_for_gone(self) -> None:
        link = Link(
            ("a",), "job", "executing", node="n", attempt=1, max_attempts=2, alive=None, nodes=None
        )
        found = Explanation("w", NOW, (link,), ())
        assert found.reason == "running"
        assert found.summary == "job 'a' has been running on 'n' for 0.0s, attempt 1 of 2"
