"""``oban-workflows list``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from oban_pro import settings
from oban_pro.cli.bars import draw_state
from oban_pro.cli.client import CLIENT, connected, run
from oban_pro.cli.console import between, echo_json, json_option, make_console, plain, seconds
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.found import since_option, until_option, where_option
from oban_pro.engine.search_statements import RootFilters
from oban_pro.engine.session import session_for
from oban_pro.model.links import page_of
from oban_pro.model.wording import human_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.engine.results import RootLine


NAME_WIDTH = 40  # characters


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
@click.option("--key", help="Only workflows with this key: who holds it, and who waits in line.")
@where_option
@since_option
@until_option
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
    key: str | None,
    attributes: dict[str, Any] | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List workflows, newest first.

    With TEXT, only those with that in their id or name, in any case.
    """
    filters = RootFilters(list(states) or None, text, name, key, attributes, since, until)
    roots = run(_read(database, filters, limit + 1))
    shown = roots[:limit]

    if as_json:
        echo_json([_to_json(root) for root in shown])
        return

    console = make_console()

    if not shown:
        console.print("No workflows." if filters == RootFilters() else "No such workflows.")
        return

    console.print(_draw(shown, is_terminal=console.is_terminal))

    if len(roots) > limit:
        console.print("There are more: see --limit.", style="dim")


async def _read(database: Database, filters: RootFilters, limit: int) -> list[RootLine]:
    async with connected(database), session_for(CLIENT).connect() as store:
        return await store.list_roots(filters, limit)


def _to_json(root: RootLine) -> dict[str, Any]:
    return root._asdict() | {
        "duration": seconds(between(root.started_at, root.stopped_at)),
        "url": _page(root),
    }


def _page(root: RootLine) -> str | None:
    dashboard = settings.current().web_url

    return None if dashboard is None else page_of(dashboard, root.id)


def _draw(roots: Sequence[RootLine], *, is_terminal: bool) -> Table:
    """Draw a table. Ids lead to their page in a terminal, where an address would take the line."""
    now = datetime.now(UTC)
    pages = [_page(root) for root in roots]
    has_addresses = any(pages) and not is_terminal
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("State", no_wrap=True)
    table.add_column("Id", no_wrap=True, overflow="fold")
    # The only column that may shrink.
    table.add_column("Name", max_width=NAME_WIDTH)
    table.add_column("Done", no_wrap=True, justify="right")
    table.add_column("Age", no_wrap=True, justify="right")
    table.add_column("Took", no_wrap=True, justify="right")

    if has_addresses:
        table.add_column("Page", no_wrap=True)

    for root, page in zip(roots, pages, strict=True):
        took = between(root.started_at, root.stopped_at)
        table.add_row(
            plain("in line") if root.is_queued else draw_state(root.state),
            plain(root.id, f"link {page}" if page and is_terminal else ""),
            plain(root.name or "", no_wrap=True, overflow="ellipsis"),
            f"{root.completed}/{root.total}",
            human_duration(now - root.inserted_at, units=1),
            human_duration(took) if took else "",
            *([plain(page or "")] if has_addresses else []),
        )

    return table
