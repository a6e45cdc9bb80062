"""``oban-workflows demo``."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from oban_pro import configure
from oban_pro.cli.console import plain
from oban_pro.cli.database import Database, dsn_option, prefix_option
from oban_pro.cli.failures import CouldNotRun, explained
from oban_pro.embedded import Postgres

from . import environment
from .run import Audit, run

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = Path(".demo")
"""What the demo keeps, in the working directory: its database, logs and reports."""

INTERRUPTED = 130

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


def _check_id(_: click.Context, __: click.Parameter, value: str | None) -> str:
    if value is None:
        return f"audit-{secrets.token_hex(4)}"

    if not re.fullmatch(_ID, value):
        raise click.BadParameter(
            f"must be up to 64 letters, digits, '.', '_' and '-', got {value!r}"
        )

    return value


@click.command()
@click.option(
    "--id", callback=_check_id, help="Workflow id; the same one again goes on where it was."
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes."
)
@click.option(
    "--path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Site-packages directory to audit (default: those of this Python).",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for report.json and report.md (default: .demo/<id>).",
)
@dsn_option
@prefix_option
def demo(
    *,
    id: str,
    workers: int,
    path: Path | None,
    output: Path | None,
    dsn: str | None,
    prefix: str | None,
) -> None:
    """Audit a Python environment: is every installed file as its RECORD says?

    Runs as a workflow, on an embedded PostgreSQL that is kept in .demo, or on --dsn. Exits with 0
    when the audit passed, 1 when it found something, 2 when it could not run.
    """
    console = Console(highlight=False)
    configure(modules=["oban_pro.demo"])
    audit = Audit(
        id=id,
        paths=[str(path.absolute())] if path else environment.site_directories(),
        output=str((output or KEPT / id).absolute()),
        workers=workers,
        logs=KEPT.absolute() / id,
    )

    try:
        with explained(CouldNotRun), _database(dsn, prefix, console) as database:
            report = asyncio.run(run(audit, database, console))
    except KeyboardInterrupt:
        report = None

    if report is None:
        again = shlex.join(_with_id(sys.argv[1:], id))
        console.print(plain(f"Interrupted. Go on with: oban-workflows {again}"), soft_wrap=True)
        sys.exit(INTERRUPTED)

    sys.exit(0 if report["passed"] else 1)


@contextmanager
def _database(dsn: str | None, prefix: str | None, console: Console) -> Iterator[Database]:
    if dsn:
        yield Database(dsn, prefix or "public")
        return

    with console.status("Starting PostgreSQL …"):
        server = Postgres(KEPT / "postgres").start()

    with server:
        yield Database(server.dsn(), prefix or "public")


def _with_id(arguments: list[str], id: str) -> list[str]:
    given = any(argument == "--id" or argument.startswith("--id=") for argument in arguments)

    return arguments if given else [*arguments, "--id", id]
