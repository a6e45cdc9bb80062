"""``oban-workflows check``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING

import click
from rich.table import Table

from oban_pro import _host, settings
from oban_pro.building.functions import ANY, CONTEXT, ITEM_AND_CONTEXT, JOB, resolve_function
from oban_pro.cli.console import echo_json, json_option, make_console, plain
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CouldNotRun, explained
from oban_pro.cli.user_code import search_here
from oban_pro.engine.code_statements import CodeStatements
from oban_pro.engine.connecting import open_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.engine.code_statements import NamedCode

ARGUMENTS = {
    "call": ANY,
    "cascade": CONTEXT,
    "item": ITEM_AND_CONTEXT,
    "when": CONTEXT,
    "final": ("context", "outcome"),
    "backoff": JOB,
}
"""What functions are called with, by kind."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Code that this environment cannot import or call: who names it, and why it cannot."""

    path: str
    kind: str
    jobs: int
    queues: list[str]
    job_id: int | None
    error: str


@click.command()
@click.option("--queues", help="Only jobs of these queues, with commas between.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATTERN",
    help="Leave out paths like this one, as in 'MyApp.*'; may be repeated.",
)
@json_option
@partial(database_options, failure=CouldNotRun)
def check(*, database: Database, queues: str | None, ignore: Sequence[str], as_json: bool) -> None:
    """Tell whether this environment has the code that open jobs name.

    Imports every function and worker of theirs, and the modules of the setting schedules, under
    the settings that a node would have. Reads in a read-only transaction: for CI, against the
    database of production, before a deployment. Exits with 0 if all code is here, with 1 if some
    is missing, with 2 if it could not look.
    """
    with explained(CouldNotRun):
        named = asyncio.run(_read(database, _names(queues)))
        schedules = settings.current().schedules or ()

    named = [code for code in named if not _is_ignored(code.path, ignore)]
    modules = [module for module in schedules if not _is_ignored(module, ignore)]
    search_here()
    missing = _find_missing(named, modules)
    checked = len({(code.kind, code.path) for code in named}) + len(modules)
    jobs = sum(code.jobs for code in named if code.kind == "worker")

    if as_json:
        echo_json({"checked": checked, "jobs": jobs, "missing": [asdict(code) for code in missing]})
    elif missing:
        console = make_console()
        console.print(_draw(missing))
        console.print()
        console.print(f"{len(missing)} of {checked} cannot be used here.", style="red")
    else:
        click.echo(f"All code is here: {checked} paths that {jobs} open jobs and schedules name.")

    sys.exit(1 if missing else 0)


def _names(queues: str | None) -> list[str] | None:
    """Split names of queues as `oban start` does, and drop the limits behind them."""
    if queues is None:
        return None

    return [part.partition(":")[0].strip() for part in queues.split(",")]


async def _read(database: Database, queues: Sequence[str] | None) -> list[NamedCode]:
    async with open_connection(database.dsn) as conn:
        await conn.set_autocommit(False)
        await conn.set_read_only(True)

        return await CodeStatements(conn, database.prefix).codes(queues)


def _is_ignored(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _find_missing(named: Sequence[NamedCode], modules: Sequence[str]) -> list[Missing]:
    missing = []

    for (path, kind), group in groupby(named, lambda code: (code.path, code.kind)):
        if (error := _why_unusable(kind, path)) is not None:
            codes = [*group]
            queues = [code.queue for code in codes]
            jobs = sum(code.jobs for code in codes)
            first = min(code.job for code in codes)
            missing.append(Missing(path, kind, jobs, queues, first, error))

    missing += [
        Missing(module, "schedules", 0, [], None, error)
        for module in modules
        if (error := _why_unusable("schedules", module)) is not None
    ]

    return missing


def _why_unusable(kind: str, path: str) -> str | None:
    """Return why this environment cannot import or call some code; None where it can."""
    try:
        # Modules may print while they are imported, which must not mix with our output.
        with redirect_stdout(sys.stderr):
            if kind == "worker":
                _find_worker(path)
            elif kind == "schedules":
                import_module(path)
            else:
                resolve_function(path, ARGUMENTS[kind])
    except (Exception, SystemExit) as error:
        causes = filter(None, (error, error.__cause__))

        return ": ".join(dict.fromkeys(" ".join(_host.describe(one).split()) for one in causes))

    return None


def _find_worker(path: str) -> None:
    worker = _host.resolve_worker(path)

    if not callable(getattr(worker, "process", None)):
        raise TypeError(f"{path} has no method process, so it is no worker")

    worker()


def _draw(missing: Sequence[Missing]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("Path", overflow="fold")
    table.add_column("Kind", no_wrap=True)
    table.add_column("Jobs", no_wrap=True, justify="right")
    table.add_column("Queues", overflow="fold")
    table.add_column("Why", overflow="fold")

    for code in missing:
        table.add_row(
            plain(code.path),
            code.kind,
            f"{code.jobs:,}",
            plain(", ".join(code.queues)),
            plain(code.error, "red"),
        )

    return table
