"""``oban-workflows list``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from oban_pro import introspection
from oban_pro.explanation import human_duration

from .bars import draw_state
from .client import CLIENT, connected, run
from .database import Database, database_options
from .output import between, echo_json, json_option, make_console, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence


NAME = 40  # characters


@dataclass(frozen=True, slots=True)
class Root:
    """A root workflow, with the settled jobs of all that is nested in it counted."""

    id: str
    name: str | None
    state: str
    inserted_at: datetime
    total: int
    suspended: int
    completed: int
    cancelled: int
    discarded: int
    started_at: datetime | None
    stopped_at: datetime | None


@click.command("list")
@click.argument("text", required=False)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["executing", "completed", "cancelled", "discarded"]),
    help="Only workflows in this state; may be repeated.",
)
@click.option("--name", help="Only workflows with this in their name.")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to list."
)
@json_option
@database_options
def list_workflows(
    *,
    database: Database,
    text: str | None,
    name: str | None,
    states: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List workflows, newest first.

    With TEXT, only those with that in their id or name, in any case.
    """
    roots = run(_read(database, states, text, name, limit + 1))
    shown = roots[:limit]

    if as_json:
        echo_json([_to_json(root) for root in shown])
        return

    console = make_console()

    if not shown:
        console.print("No workflows." if not (text or name or states) else "No such workflows.")
        return

    console.print(_draw(shown))

    if len(roots) > limit:
        console.print("There are more: see --limit.", style="dim")


async def _read(
    database: Database, states: Sequence[str], text: str | None, name: str | None, limit: int
) -> list[Root]:
    async with connected(database), introspection.connect(CLIENT) as store:
        rows = await store.roots(list(states) or None, text, limit, 0, name)

    return [Root(*map(_aware, row)) for row in rows]


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _to_json(root: Root) -> dict[str, Any]:
    return asdict(root) | {"duration": seconds(between(root.started_at, root.stopped_at))}


def _draw(roots: Sequence[Root]) -> Table:
    now = datetime.now(UTC)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("State", no_wrap=True)
    table.add_column("Id", no_wrap=True, overflow="fold")
    # The only column that may shrink.
    table.add_column("Name", max_width=NAME)
    table.add_column("Done", no_wrap=True, justify="right")
    table.add_column("Age", no_wrap=True, justify="right")
    table.add_column("Took", no_wrap=True, justify="right")

    for root in roots:
        took = between(root.started_at, root.stopped_at)
        table.add_row(
            draw_state(root.state),
            Text(root.id),
            Text(root.name or "", no_wrap=True, overflow="ellipsis"),
            f"{root.completed}/{root.total}",
            human_duration(now - root.inserted_at, units=1),
            human_duration(took) if took else "",
        )

    return table
