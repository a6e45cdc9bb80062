"""Which lines of a traceback are left: real ones, of code that stands where it would."""

import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from oban_pro.model.tracebacks import own_frames

OBAN = "/venv/lib/python3.13/site-packages/oban/_executor.py"
OURS = "/code/src/oban_pro/workers.py"
ASYNCIO = "/usr/lib/python3.13/asyncio/tasks.py"
POOL = r"C:\Python313\Lib\concurrent\futures\thread.py"
THEIRS = "/srv/oban/shop/asyncio/flows.py"
LIBRARY = "/venv/lib/python3.13/site-packages/oban_helpers/retry.py"


def call_through(*paths: str, last: Callable[[], Any]) -> None:
    """Call a function through frames of files with these paths, the outermost first."""
    for path in reversed(paths):
        code = compile("def call(): inner()", path, "exec")
        namespace: dict[str, Any] = {"inner": last}
        exec(code, namespace)
        last = namespace["call"]

    last()


def fail(*paths: str, error: BaseException | None = None) -> None:
    def raise_error() -> None:
        raise error or ValueError("no luck")

    # The function that raises stands in this very file, as somebody's own code.
    call_through(*paths, last=raise_error)


def caught(function: Callable[..., Any], *args: Any, **opts: Any) -> str:
    try:
        function(*args, **opts)
    except BaseException:
        return traceback.format_exc()
    raise AssertionError("must raise")


def files(text: str) -> list[str]:
    """List the files of the frames, but for those of this module."""
    return [path for path in re.findall(r'File "(.*?)"', text) if path != __file__]


def test_frames_of_the_machinery_are_left_out() -> None:
    text = caught(fail, OBAN, OURS, ASYNCIO, THEIRS, POOL, LIBRARY, OURS)
    assert files(own_frames(text)) == [THEIRS, LIBRARY]
    assert own_frames(text).startswith("Traceback (most recent call last):\n")
    assert own_frames(text).endswith("\nValueError: no luck")


def test_the_first_frame_is_that_of_the_user() -> None:
    text = (
        "Traceback (most recent call last):\n"
        f'  File "{OBAN}", line 97, in _process\n'
        "    self.result = await self._perform(self.worker)\n"
        "                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        f'  File "{OURS}", line 40, in process\n'
        "    result = await _call_with_context(job)\n"
        "  [Previous line repeated 3 more times]\n"
        f'  File "{THEIRS}", line 7, in load\n'
        "    raise RuntimeError(\n"
        "        'no disk'\n"
        "    )\n"
        "  [Previous line repeated 2 more times]\n"
        "RuntimeError: no disk\n"
        '  File "left", line 1, in peace\n'
    )
    assert own_frames(text) == (
        "Traceback (most recent call last):\n"
        f'  File "{THEIRS}", line 7, in load\n'
        "    raise RuntimeError(\n"
        "        'no disk'\n"
        "    )\n"
        "  [Previous line repeated 2 more times]\n"
        "RuntimeError: no disk\n"
        '  File "left", line 1, in peace'
    )


def test_of_a_traceback_without_own_frames_the_message_is_left() -> None:
    text = (
        "Traceback (most recent call last):\n"
        f'  File "{OURS}", line 40, in process\n'
        "    raise CascadeError(\n"
        "oban_pro.errors.CascadeError: job 'a' must return a Workflow\n"
        "or None"
    )
    assert own_frames(text) == (
        "oban_pro.errors.CascadeError: job 'a' must return a Workflow\nor None"
    )


def test_causes_stay_with_their_own_frames() -> None:
    def wrap() -> None:
        try:
            fail(ASYNCIO, THEIRS)
        except ValueError as error:
            raise RuntimeError("wrapped") from error

    shown = own_frames(caught(call_through, OBAN, LIBRARY, last=wrap))
    assert files(shown) == [THEIRS, LIBRARY]
    assert "The above exception was the direct cause of the following exception" in shown
    assert shown.index("ValueError: no luck") < shown.index("RuntimeError: wrapped")


def test_an_exception_group_stays_a_group() -> None:
    def gather() -> None:
        errors = []
        for number in range(2):
            try:
                fail(ASYNCIO, THEIRS, error=ValueError(number))
            except ValueError as error:
                errors.append(error)
        raise ExceptionGroup("two", errors)

    shown = own_frames(caught(call_through, OBAN, LIBRARY, last=gather))
    assert files(shown) == [LIBRARY, THEIRS, THEIRS]
    assert "  + Exception Group Traceback (most recent call last):" in shown
    assert "  | ExceptionGroup: two (2 sub-exceptions)" in shown
    assert "    | ValueError: 1" in shown


def test_notes_and_errors_of_syntax_stay() -> None:
    def parse() -> None:
        try:
            compile("x =", "rules.txt", "exec")
        except SyntaxError as error:
            error.add_note("in rules of Tuesday")
            raise

    text = caught(call_through, OBAN, last=parse)
    shown = own_frames(text)
    assert 'File "rules.txt", line 1' in shown
    assert shown.endswith("SyntaxError: invalid syntax\nin rules of Tuesday")
    assert OBAN not in shown


@pytest.mark.parametrize(
    "error",
    ["", "ValueError('x')", "cancelled because upstream job 'a' was discarded", "a\n  b\n    c"],
)
def test_what_is_no_traceback_stays_as_it_is(error: str) -> None:
    assert own_frames(error) == error
