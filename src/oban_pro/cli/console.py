"""Where commands print, and the JSON they print."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console
from rich.text import Text

from oban_pro.errors import message_of
from oban_pro.model.wording import hidden_in, visible

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from oban_pro import WorkflowStatus
    from oban_pro.model.explanation import JobLine
    from oban_pro.model.waiting import OpenWait

UNLIMITED = 1000
"""Width of output to a pipe or a file, so that nothing is cut off."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def make_console() -> Console:
    """Make a console; one that writes to a pipe or a file cuts nothing off."""
    console = Console(highlight=False)

    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNLIMITED

    return console


def plain(text: str, style: str = "", **options: Any) -> Text:
    """Make what a console prints of a text that somebody else wrote: one line, nothing hidden.

    Args:
        text: A name, an id or an error.
        style: How rich draws it.
        options: Those of `rich.text.Text`.
    """
    return Text(visible(text), style, **options)


def to_json(value: object, *, indent: bool = True) -> str:
    """Write JSON, over several lines or in a single one, in characters that are printable."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()
    hidden = hidden_in(text) - {"\n"}

    return text.translate({ord(char): _escape(char) for char in hidden})


def _escape(char: str) -> str:
    units = char.encode("utf-16-be").hex()

    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def echo_json(value: object, *, indent: bool = True) -> None:
    """Print JSON, over several lines or in a single one."""
    click.echo(to_json(value, indent=indent))


def status_json(status: WorkflowStatus) -> dict[str, Any]:
    """Turn a status into what ``--json`` prints; a duration is in seconds."""
    return {
        "id": status.id,
        "name": status.name,
        "state": status.state,
        "total": status.total,
        "counts": dict(status.counts),
        "waits": status.waits,
        "limit": status.limit,
        "attributes": status.attributes,
        "started_at": status.started_at,
        "stopped_at": status.stopped_at,
        "retried_at": status.retried_at,
        "paused_at": status.paused_at,
        "paused_by": status.paused_by,
        "duration": seconds(status.duration),
        "subs": {name: status_json(sub) for name, sub in status.subs.items()},
    }


def job_json(line: JobLine) -> dict[str, Any]:
    """Turn a job into what ``--json`` prints."""
    return {
        "path": line.path,
        "state": line.state,
        "attempt": line.attempt,
        "max_attempts": line.max_attempts,
        "attempted_at": line.attempted_at,
        "error": line.error,
        "message": None if line.error is None else message_of(line.error),
        "caused": line.caused,
    }


def wait_json(one: OpenWait) -> dict[str, Any]:
    """Turn an open wait into what ``--json`` prints."""
    wait = one.wait

    return {
        "path": one.path,
        "kind": wait.kind,
        "since": wait.since,
        "until": wait.until,
        "choices": wait.choices,
        "wanted": wait.wanted,
        "came": wait.came,
        "senders": wait.senders,
    }


def seconds(duration: timedelta | None) -> float | None:
    """Turn a duration into seconds."""
    return None if duration is None else duration.total_seconds()


def between(start: datetime | None, end: datetime | None) -> timedelta | None:
    """Return the time from one moment to another, where both are known."""
    return end - start if start and end else None
