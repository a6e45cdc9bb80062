"""How states, kinds, counts and durations are put into words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from oban_pro.errors import message_of

if TYPE_CHECKING:
    from collections.abc import Iterator

STATES = (
    "completed",
    "executing",
    "retryable",
    "available",
    "scheduled",
    "suspended",
    "cancelled",
    "discarded",
)
"""Every state of a job, in the order in which people are shown them."""

SHOWN = ("completed", "skipped", *STATES[1:])
"""Every word that jobs are counted by for people: the states, and ``"skipped"``."""

SETTLED = ("completed", "cancelled", "discarded")
"""The states of a settled job, which it does not leave by itself."""

KINDS = {
    "job": "job",
    "sub": "sub-workflow",
    "fan_out": "fan-out",
    "graft": "graft",
    "workflow": "workflow",
}
"""How messages call members of each kind."""


def count_jobs(count: int) -> str:
    """Write a number of jobs.

    Example:
        >>> count_jobs(1), count_jobs(1200)
        ('1 job', '1,200 jobs')
    """
    return f"{count:,} {'job' if count == 1 else 'jobs'}"


# Not printable by themselves, but parts of emoji and of words in some scripts.
_JOINERS = "\u200c\u200d"


def visible(text: str, keep: str = "") -> str:
    r"""Escape characters that are not printable: control characters, overrides of direction.

    A terminal obeys such characters, and anybody who can write to the database can put them into
    names and errors.

    Args:
        text: Any text.
        keep: Characters to leave as they are.

    Example:
        >>> visible("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return text.translate({ord(char): _spell(char) for char in hidden_in(text) - {*keep}})


def hidden_in(text: str) -> set[str]:
    """Return the characters of a text that are not printable."""
    if text.isprintable():
        return set()

    return {char for char in set(text) if not char.isprintable() and char not in _JOINERS}


def _spell(char: str) -> str:
    return char.encode("unicode_escape").decode()


def human_duration(duration: timedelta, units: int = 2) -> str:
    """Write a duration in its largest units.

    Example:
        >>> human_duration(timedelta(minutes=61, seconds=5))
        '1h 1m'
    """
    seconds = max(duration.total_seconds(), 0)

    if seconds < 10:
        return f"{seconds:.1f}s"

    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)

    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + units] if count)


_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def spell_duration(duration: timedelta) -> str:
    """Write a duration that somebody set in its two largest units; the rest is cut off.

    Example:
        >>> spell_duration(timedelta(days=1, hours=12, minutes=5))
        '1 day 12 hours'
        >>> spell_duration(timedelta(seconds=0.5))
        '0.5 seconds'
    """
    left = duration // timedelta(seconds=1)

    if left < 60:
        fraction = f".{duration.microseconds:06}".rstrip("0.") if duration.microseconds else ""

        return f"{left}{fraction} {'second' if left == 1 and not fraction else 'seconds'}"

    counts = [*_split(left)]
    first = next(index for index, (count, _) in enumerate(counts) if count)

    return " ".join(
        f"{count} {unit if count == 1 else f'{unit}s'}"
        for count, unit in counts[first : first + 2]
        if count
    )


def _split(seconds: int) -> Iterator[tuple[int, str]]:
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        yield count, unit

    yield seconds, "second"


def count_nodes(nodes: int | None) -> str:
    """Say how many nodes run a queue; None where that cannot be known."""
    if nodes is None:
        return "; a standby cannot know which nodes run it"

    return ", which 1 node runs" if nodes == 1 else f", which {nodes} nodes run"


def tell_error(state: str, error: str | None) -> str:
    """Say why a job is in a state, to go on after that word, which the error may begin with.

    Example:
        >>> tell_error("cancelled", "cancelled by ada: wrong year")
        ' by ada: wrong year'
        >>> tell_error("discarded", "no disk")
        ': no disk'
    """
    if not error or state == "completed":
        return ""

    message = message_of(error)
    repeats = message.startswith((f"{state} by ", f"{state}: "))

    return message.removeprefix(state) if repeats else f": {message}"


def until(time: datetime | None, at: datetime) -> str:
    """Say how long it is until a time; None stands for a time after the year 9999."""
    return "after year 9999" if time is None else f"in {human_duration(time - at)}"
