"""``oban-workflows waits``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from oban_pro.cli.client import CLIENT, connected, run
from oban_pro.cli.console import echo_json, json_option, make_console, plain, wait_json
from oban_pro.cli.database import Database, database_options
from oban_pro.engine.session import session_for
from oban_pro.model.paths import join_path
from oban_pro.model.wording import human_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oban_pro.model.waiting import OpenWait, Wait


@click.command()
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many to list."
)
@json_option
@database_options
def waits(*, database: Database, limit: int, as_json: bool) -> None:
    """List what waits for a signal, in all workflows.

    Those whose time is up first come first. Send a signal with: oban-workflows signal ID PATH
    """
    found = run(_read(database, limit + 1))
    shown = found[:limit]

    if as_json:
        echo_json([_to_json(one) for one in shown])
        return

    console = make_console()

    if not shown:
        console.print("Nothing waits for a signal.")
        return

    console.print(_draw(shown))

    if len(found) > limit:
        console.print("There are more: see --limit.", style="dim")


async def _read(database: Database, limit: int) -> list[OpenWait]:
    async with connected(database), session_for(CLIENT).connect() as store:
        return await store.inbox(limit)


def _to_json(one: OpenWait) -> dict[str, Any]:
    return {"workflow_id": one.workflow_id, "name": one.name, **wait_json(one)}


def _draw(found: Sequence[OpenWait]) -> Table:
    now = datetime.now(UTC)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("Workflow", no_wrap=True, overflow="fold")
    table.add_column("Name", overflow="fold")
    table.add_column("Path", no_wrap=True, overflow="fold")
    table.add_column("Since", no_wrap=True, justify="right")
    table.add_column("Left", no_wrap=True, justify="right")
    table.add_column("Came", overflow="fold")
    table.add_column("Choices", overflow="fold")

    for one in found:
        wait = one.wait
        table.add_row(
            plain(one.workflow_id),
            plain(one.name or ""),
            plain(join_path(one.path)),
            human_duration(now - (wait.since or now)),
            "" if wait.until is None else human_duration(wait.until - now),
            plain(_came(wait)),
            plain(", ".join(wait.choices or ())),
        )

    return table


def _came(wait: Wait) -> str:
    senders = f" ({', '.join(wait.senders)})" if wait.senders else ""

    return "" if wait.wanted == 1 else f"{wait.came} of {wait.wanted}{senders}"
