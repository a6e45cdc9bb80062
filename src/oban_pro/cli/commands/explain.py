"""``oban-workflows explain``."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from oban_pro import settings
from oban_pro.cli.bars import draw_state
from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.console import echo_json, json_option, make_console, plain
from oban_pro.cli.database import Database, database_options
from oban_pro.model.links import page_of
from oban_pro.model.paths import join_path
from oban_pro.model.tracebacks import own_frames
from oban_pro.model.wording import KINDS, visible

if TYPE_CHECKING:
    from rich.console import Console

    from oban_pro.model.evidence import Link
    from oban_pro.model.explanation import Explanation

MAX_LISTED = 10


@click.command()
@click.argument("id")
@click.argument("name")
@click.option("--full", is_flag=True, help="Show the frames of oban in tracebacks, too.")
@json_option
@database_options
def explain(*, database: Database, id: str, name: str, full: bool, as_json: bool) -> None:
    """Explain why NAME in the workflow ID is in its state.

    Says what it waits for, or which upstream broke it, down to the first cause. NAME may be that of
    a job, sub-workflow, fan-out or graft, or a path to a nested one: notify/email.
    """
    explanation = run(_read(database, id, name))

    if as_json:
        echo_json(_to_json(explanation))
        return

    console = make_console()
    console.print(plain(explanation.summary[:1].upper() + explanation.summary[1:] + "."))

    if (dashboard := settings.current().web_url) is not None:
        path = join_path(explanation.subject.path)
        console.print(plain(page_of(dashboard, id, path=path)))

    if len(explanation.chain) > 1:
        _print_chain(console, explanation.chain)

    if len(explanation.waits_for) > 1 and explanation.state == "suspended":
        _print_waits(console, explanation)

    if explanation.cause.error and explanation.cause.state != "completed":
        _print_error(console, explanation.cause, full=full)


async def _read(database: Database, id: str, name: str) -> Explanation:
    async with connected(database):
        await status_of(id)

        return await handle(id).explain(name)


def _to_json(explanation: Explanation) -> dict[str, Any]:
    return {
        "workflow_id": explanation.workflow_id,
        "path": explanation.subject.path,
        "kind": explanation.subject.kind,
        "state": explanation.state,
        "reason": explanation.reason,
        "summary": explanation.summary,
        "at": explanation.at,
        "dependencies": len(explanation.deps),
        "waits_for": [asdict(dep) for dep in explanation.waits_for],
        "chain": [asdict(link) for link in explanation.chain],
    }


def _print_chain(console: Console, chain: tuple[Link, ...]) -> None:
    """Print the way to the cause; of a long one, both ends."""
    left_out = len(chain) - MAX_LISTED
    grid = _grid()

    for number, link in enumerate(chain):
        if left_out > 0 and number == MAX_LISTED - 1:
            grid.add_row("", Text(f"{'   ' * number}… {left_out} more", style="dim"))

        if left_out <= 0 or number < MAX_LISTED - 1 or number == len(chain) - 1:
            depth = min(number, MAX_LISTED)
            branch = "   " * (depth - 1) + "└─ " if number else ""
            grid.add_row(
                "",
                plain(branch + join_path(link.path)),
                draw_state(link.state),
                Text("" if link.kind == "job" else KINDS[link.kind], style="dim"),
            )

    console.print()
    console.print(grid)


def _print_waits(console: Console, explanation: Explanation) -> None:
    grid = _grid()
    waits = explanation.waits_for

    for dep in waits[:MAX_LISTED]:
        grid.add_row(
            "",
            plain(join_path(dep.path)),
            draw_state(dep.state),
            Text("" if dep.kind == "job" else KINDS[dep.kind], style="dim"),
        )

    if len(waits) > MAX_LISTED:
        grid.add_row("", Text(f"… and {len(waits) - MAX_LISTED} more", style="dim"))

    console.print("\nWaits for", style="bold")
    console.print(grid)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)

    return grid


def _print_error(console: Console, link: Link, *, full: bool) -> None:
    """Print an error of more than one line; the summary has the last line alone."""
    stored = visible((link.error or "").strip(), keep="\n\t")
    error = stored if full else own_frames(stored)

    if "\n" in error:
        console.print()
        console.print(plain(f"Last error of {join_path(link.path)}", "bold"))
        console.print(Text(textwrap.indent(error, "  ")), soft_wrap=True)

    if error != stored:
        console.print("\nFrames of oban and asyncio are left out: see --full.", style="dim")
