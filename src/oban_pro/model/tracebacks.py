"""Tracebacks as people want to read them: the frames of their own code."""

from __future__ import annotations

import re

# Errors come from any machine, so the end of a path tells whose code it is.
_MACHINERY = re.compile(
    r"[/\\](?:oban_pro|(?:site|dist)-packages[/\\]oban|lib[/\\](?:python[\w.]+[/\\])?(?:asyncio|concurrent))[/\\]",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?P<margin>[ |+]*)(?:Exception Group )?Traceback \(most recent call last\):")
_FRAME = re.compile(r'File "(?P<path>.*?)", line \d+, in ')


def own_frames(error: str) -> str:
    """Leave out the frames of oban, of this package and of asyncio.

    Everything else stays: messages, notes, causes, groups. An error that is no traceback stays
    whole.

    Args:
        error: As oban stores it, a traceback in most cases.

    Example:
        >>> print(own_frames(job.errors[-1]["error"]))
        Traceback (most recent call last):
          File "/srv/shop/flows.py", line 7, in load
            raise RuntimeError("no disk")
        RuntimeError: no disk
    """
    kept: list[str] = []
    header: str | None = None
    in_stack = is_own = False

    for line in error.splitlines():
        if found := _HEADER.fullmatch(line):
            # It is kept with the first frame that is.
            header, in_stack, is_own = line, True, False
            indent = found["margin"].replace("+", "|") + "  "
        elif in_stack and line.startswith(indent):
            if frame := _FRAME.match(line, len(indent)):
                is_own = not _MACHINERY.search(frame["path"])

            if is_own:
                kept += [line] if header is None else [header, line]
                header = None
        else:
            in_stack = False
            kept.append(line)

    return "\n".join(kept)
