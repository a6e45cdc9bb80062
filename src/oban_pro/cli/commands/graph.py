"""``oban-workflows graph``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from oban_pro.cli.client import connected, handle, run, status_of
from oban_pro.cli.console import json_option, to_json
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CommandFailure

if TYPE_CHECKING:
    from oban_pro import Graph


@click.command()
@click.argument("id")
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot", "svg"]),
    default="mermaid",
    show_default=True,
    help="svg needs Graphviz.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write (default: standard output).",
)
@json_option
@database_options
def graph(
    *,
    database: Database,
    id: str,
    form: Literal["mermaid", "dot", "svg"],
    output: Path | None,
    as_json: bool,
) -> None:
    """Draw the workflow ID, each job with its state."""
    drawn = run(_fetch(database, id))

    if as_json:
        drawing = to_json(drawn)
    elif form == "mermaid":
        drawing = drawn.to_mermaid()
    else:
        drawing = drawn.to_dot() if form == "dot" else _to_svg(drawn.to_dot())

    drawing = drawing.rstrip("\n")

    if output is None:
        click.echo(drawing)
        return

    try:
        output.write_text(f"{drawing}\n", encoding="utf-8")
    except OSError as error:
        raise CommandFailure(f"--output must be writable, got {error}") from error


async def _fetch(database: Database, id: str) -> Graph:
    async with connected(database):
        await status_of(id)

        return await handle(id).fetch_graph()


def _to_svg(dot: str) -> str:
    program = shutil.which("dot")

    if program is None:
        raise CommandFailure("--format svg needs Graphviz's program 'dot', which must be on PATH")

    done = subprocess.run([program, "-Tsvg"], input=dot.encode(), capture_output=True, check=False)

    if done.returncode:
        raise CommandFailure(
            f"Graphviz must draw the graph, got: {done.stderr.decode(errors='replace')}"
        )

    return done.stdout.decode()
