"""Sentences and durations for people."""

from datetime import UTC, datetime, timedelta

import pytest

from oban_pro.explanation import Explanation, Link, human_duration, last_line

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


class TestLastLine:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [("", ""), ("one", "one"), ("Traceback …\n  a\nKeyError: 'x'\n\n", "KeyError: 'x'")],
    )
    def test_is_what_went_wrong(self, error: str, expected: str) -> None:
        assert last_line(error) == expected


class TestSummary:
    @pytest.mark.parametrize("error", ["{x}", "a { b", "%s", "{0}"])
    def test_takes_braces_in_an_error_as_they_are(self, error: str) -> None:
        link = Link(("{a}",), "job", "cancelled", error=error)
        found = Explanation("w", NOW, (link,), ())
        assert found.summary == f"job '{{a}}' was cancelled: {error}"

    def test_of_a_time_that_has_passed_says_that_nobody_took_the_job(self) -> None:
        link = Link(("a",), "job", "scheduled", queue="q", scheduled_at=NOW - timedelta(seconds=1))
        assert Explanation("w", NOW, (link,), ()).reason == "unserved"
