"""Where commands print, and the JSON they print."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from oban_pro import WorkflowStatus
    from oban_pro.explanation import JobLine

UNLIMITED = 1000
"""Columns of an output that nobody sees directly: nothing is cut off."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def make_console() -> Console:
    """Make a console; one that writes to a pipe or a file cuts nothing off."""
    console = Console(highlight=False)

    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNLIMITED

    return console


def to_json(value: object, *, indent: bool = True) -> str:
    """Write JSON, over several lines or in a single one."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()


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
        "started_at": status.started_at,
        "stopped_at": status.stopped_at,
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
        "caused": line.caused,
    }


def seconds(duration: timedelta | None) -> float | None:
    """Turn a duration into seconds."""
    return None if duration is None else duration.total_seconds()


def between(start: datetime | None, end: datetime | None) -> timedelta | None:
    """Return the time from one moment to another, where both are known."""
    return end - start if start and end else None
