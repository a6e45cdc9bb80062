"""Tracebacks in parts."""

import json
import traceback

from oban_pro.web.tracebacks import read_traceback


def broken() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        raise RuntimeError("no order") from error


def caught() -> str:
    try:
        broken()
    except RuntimeError:
        return traceback.format_exc()

    return ""


def test_keeps_the_frames_of_the_user_and_folds_those_of_libraries() -> None:
    found = read_traceback(caught())

    assert found.message == "RuntimeError: no order"
    assert found.own.count(__file__) == 3
    assert 'json.loads("{")' in found.own
    assert "The above exception was the direct cause" in found.own
    assert "decoder.py" not in found.own
    assert "^^^" not in found.own
    assert found.folded == 3


def test_shows_the_last_frame_of_a_library_where_there_is_no_other() -> None:
    lines = ["Traceback (most recent call last):"]
    lines += [f'  File "/x/lib/python3.13/{name}.py", line 1, in f' for name in "abc"]
    found = read_traceback("\n".join([*lines, "ValueError: bad"]))

    assert found.own == '  File "/x/lib/python3.13/c.py", line 1, in f'
    assert found.folded == 2


def test_leaves_alone_what_is_no_traceback() -> None:
    found = read_traceback("** (RuntimeError) boom\n    lib/a.ex:3: f()")

    assert (found.message, found.own, found.folded) == ("** (RuntimeError) boom", "", 0)
    assert found.text.endswith("f()")
