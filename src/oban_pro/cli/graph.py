"""``oban-workflows graph``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Literal

import click

from .client import connected, handle, run, status_of
from .database import Database, database_options
from .errors import Failure


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
@database_options
def graph(
    *, database: Database, id: str, form: Literal["mermaid", "dot", "svg"], output: Path | None
) -> None:
    """Draw the workflow ID, each job with its state."""
    drawing = run(_draw(database, id, form))

    if form == "svg":
        drawing = _to_svg(drawing)

    if output is None:
        click.echo(drawing)
        return

    try:
        output.write_text(f"{drawing}\n", encoding="utf-8")
    except OSError as error:
        raise Failure(f"--output must be writable, got {error}") from error


async def _draw(database: Database, id: str, form: str) -> str:
    async with connected(database):
        await status_of(id)
        drawn = await handle(id).fetch_graph()

    return (drawn.to_mermaid() if form == "mermaid" else drawn.to_dot()).rstrip("\n")


def _to_svg(dot: str) -> str:
    program = shutil.which("dot")

    if program is None:
        raise Failure("--format svg needs Graphviz's program 'dot', which must be on PATH")

    done = subprocess.run([program, "-Tsvg"], input=dot.encode(), capture_output=True, check=False)

    if done.returncode:
        raise Failure(f"Graphviz must draw the graph, got: {done.stderr.decode(errors='replace')}")

    return done.stdout.decode().rstrip("\n")
