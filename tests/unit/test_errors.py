"""Errors, and what is read from those that are stored."""

import traceback
from collections.abc import Callable

import pytest

from oban_pro.errors import JobFailedError, message_of
from oban_pro.model.outcome import Failure


def simple() -> None:
    raise ValueError("bad date")


def with_more_lines() -> None:
    error = ValueError("2 problems\n  one\ntwo")
    error.add_note("see the manual")
    raise error


def caused() -> None:
    try:
        simple()
    except ValueError as error:
        raise RuntimeError("no report") from error


def grouped() -> None:
    try:
        simple()
    except ValueError as error:
        raise ExceptionGroup("all of it", [error, KeyError("x")]) from error


def unparsable() -> None:
    compile("a b", "x", "exec")


class TestMessageOf:
    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            (simple, "ValueError: bad date"),
            (with_more_lines, "ValueError: 2 problems"),
            (caused, "RuntimeError: no report"),
            (grouped, "ExceptionGroup: all of it (2 sub-exceptions)"),
            (unparsable, "SyntaxError: invalid syntax"),
        ],
    )
    def test_is_what_went_wrong_last(self, function: Callable[[], None], expected: str) -> None:
        try:
            function()
        except Exception:
            error = traceback.format_exc()

        assert message_of(error) == expected

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            ("", ""),
            (" \n", ""),
            ("one", "one"),
            ("\nbad date\nor none\n", "bad date"),
            (
                "** (RuntimeError) boom\n    (app 0.1.0) lib/a.ex:7: A.b/1\n",
                "** (RuntimeError) boom",
            ),
            ("Traceback (most recent call last):\n  File", ""),
        ],
    )
    def test_is_the_first_line_of_what_is_no_traceback(self, error: str, expected: str) -> None:
        assert message_of(error) == expected

    def test_is_what_failures_say_of_themselves(self) -> None:
        error = "Traceback (most recent call last):\n  File …\nValueError: bad date\n"

        for failed in (JobFailedError("load", "discarded", error), Failure("load", "…", error)):
            assert failed.message == "ValueError: bad date"

        for failed in (JobFailedError("load", "cancelled"), Failure("load", "cancelled", None)):
            assert failed.message is None
