"""What the pages say about how long attempts take, beside what oban does."""

import re

import pytest
from oban import Job
from oban._backoff import jittery_clamped

from tests.support.page import PAGES
from tests.support.paths import DOCS, ROOT

PAGE = DOCS / "how-to" / "continue-after-failures.md"
UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
ROWS = re.findall(r"^\| (\d+)[^|]* \| (\d+) (\w+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Provide what chance decides by, for each wait: 0 for the shortest, 1 for the longest."""
    decided = [0.0]
    monkeypatch.setattr("oban._backoff.random.random", lambda: decided[0])

    return decided


def total(attempts: int) -> int:
    return sum(jittery_clamped(attempt, attempts) for attempt in range(1, attempts))


def test_the_table_is_true(chance: list[float]) -> None:
    assert [int(attempts) for attempts, *_ in ROWS] == [3, 5, 10, 15, Job("worker").max_attempts]

    for attempts, count, unit in ROWS:
        shortest = total(int(attempts))
        assert shortest // UNITS[unit] == int(count)
        chance[0] = 1.0
        assert shortest < total(int(attempts)) <= shortest * 1.1
        chance[0] = 0.0


def test_the_first_wait_is_as_long_as_said(chance: list[float]) -> None:
    assert total(2) == 17
    text = " ".join(PAGE.read_text("utf-8").split())
    assert "Before the second attempt oban waits 17 s" in text


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/tutorial")])
def test_each_tutorial_says_so(page: str) -> None:
    text = " ".join((ROOT / page).read_text("utf-8").split())
    assert "twelve days](../how-to/continue-after-failures.md#the-job-tries-again)" in text
    assert "max_attempts=3" in text
