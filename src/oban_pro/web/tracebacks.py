"""Tracebacks in parts: frames in the code of the user, and those in libraries, folded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oban_pro.errors import message_of

FRAME = re.compile(r'  (?:\| *)?File "(?P<file>[^"\n]*)", line \d+')
LIBRARIES = re.compile(
    r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib(?:64)?[/\\]python3|[/\\]Lib[/\\]|^<frozen|[/\\]oban_pro[/\\]"
)
POINTERS = re.compile(r"[\s|~^]*")
HEADER = "Traceback (most recent call last):"


@dataclass(frozen=True, slots=True)
class Traceback:
    """A traceback in parts.

    Args:
        message: The line that says what went wrong.
        own: The frames in code of the user; where there are none the last one of a library.
        folded: How many frames in libraries ``own`` leaves out; 0 where there is no frame at all.
        text: All of it.
    """

    message: str
    own: str
    folded: int
    text: str


def read_traceback(text: str) -> Traceback:
    """Take a traceback, as Python writes it, to parts; any other text has no frames."""
    frames: list[list[str]] = []
    between: list[str] = []
    is_inside = False

    for line in text.splitlines():
        if FRAME.match(line):
            frames.append([*between, line])
            between, is_inside = [], True
        elif is_inside and line.startswith("    "):
            if not POINTERS.fullmatch(line):
                frames[-1].append(line)
        else:
            is_inside = False
            # What joins the tracebacks of two exceptions stands before the frames of the second.
            between = [*between, line] if line.strip() and line != HEADER else between

    own = [frame for frame in frames if not _is_library(frame)] or frames[-1:]
    shown = "\n".join(line for frame in own for line in frame)

    return Traceback(message_of(text), shown, len(frames) - len(own), text)


def _is_library(frame: list[str]) -> bool:
    found = next(filter(None, map(FRAME.match, frame)))

    return LIBRARIES.search(found["file"]) is not None
