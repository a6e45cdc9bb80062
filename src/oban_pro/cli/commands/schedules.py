"""``oban-workflows schedules``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from oban_pro import schedules as ours
from oban_pro.cli.client import CLIENT, connected, run
from oban_pro.cli.console import echo_json, json_option, make_console, plain
from oban_pro.cli.database import (
    Database,
    config_option,
    database_options,
    dsn_option,
    load_database,
    prefix_option,
)
from oban_pro.cli.failures import CommandFailure, explained
from oban_pro.cli.user_code import search_here
from oban_pro.engine.session import session_for
from oban_pro.errors import InvalidScheduleError, UnknownNameError
from oban_pro.model.wording import human_duration

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from oban_pro import Workflow
    from oban_pro.engine.schedule_statements import StoredSchedule


@click.group("schedules", invoke_without_command=True)
@json_option
@dsn_option
@prefix_option
@config_option
@click.pass_context
def schedules(
    context: click.Context,
    *,
    dsn: str | None,
    prefix: str | None,
    config: str | None,
    as_json: bool,
) -> None:
    """List the schedules that nodes have seen, and steer them."""
    # The commands below read these options themselves.
    if context.invoked_subcommand is not None:
        return

    with explained():
        database = load_database(dsn, prefix, config)

    found = run(_read(database))

    if as_json:
        echo_json([_to_json(one) for one in found])
        return

    console = make_console()
    console.print(_draw(found) if found else "No node has seen a schedule yet.")


@schedules.command("run")
@click.argument("name")
@database_options
def run_now(*, database: Database, name: str) -> None:
    """Enqueue the workflow of the schedule NAME now.

    The modules in the setting schedules are imported for it.
    """

    async def fire() -> str:
        async with connected(database):
            workflow = await ours.enqueue_tick(_find(name), datetime.now(UTC), CLIENT)

        if workflow is None:
            return "Nothing to run."

        if workflow.is_duplicate:
            return f"Enqueued nothing: {workflow.id} is there already."

        return f"Enqueued {workflow.id}."

    click.echo(_run(fire()))


@schedules.command("pause")
@click.argument("name")
@database_options
def pause(*, database: Database, name: str) -> None:
    """Pause the schedule NAME. What it misses is not caught up."""
    _set_paused(database, name, paused=True)


@schedules.command("resume")
@click.argument("name")
@database_options
def resume(*, database: Database, name: str) -> None:
    """Let the schedule NAME go on, from now."""
    _set_paused(database, name, paused=False)


@schedules.command("backfill")
@click.argument("name")
@click.option("--from", "start", required=True, help="The first moment that counts: 2026-11-01.")
@click.option("--to", "end", required=True, help="The first moment that does not count.")
@database_options
def backfill(*, database: Database, name: str, start: str, end: str) -> None:
    """Enqueue the workflows of all ticks of a span.

    A date, or a time without a zone, is one in the zone of the schedule.
    """
    first, beyond = _moment("--from", start), _moment("--to", end)

    async def fill() -> list[Workflow]:
        async with connected(database):
            return await ours.enqueue_span(_find(name), first, beyond, CLIENT)

    filled = _run(fill())
    enqueued = [workflow.id for workflow in filled if not workflow.is_duplicate]
    span = f": {enqueued[0]} to {enqueued[-1]}" if enqueued else ""
    click.echo(f"Enqueued {len(enqueued)} of {len(filled)} workflows{span}.")


def _find(name: str) -> ours.Schedule:
    search_here()

    return ours.find(name)


def _run[Result](command: Coroutine[Any, Any, Result]) -> Result:
    try:
        return run(command)
    except (UnknownNameError, InvalidScheduleError, ImportError) as error:
        raise CommandFailure(str(error)) from error


def _set_paused(database: Database, name: str, *, paused: bool) -> None:
    async def change() -> bool:
        async with connected(database):
            session = session_for(CLIENT)

            async with session.connect() as store:
                known = [one.name for one in await store.schedules()]

            if name not in known:
                raise UnknownNameError(
                    f"no node has seen a schedule {name!r}; known: {', '.join(known) or 'none'}"
                )

            return await session.execute(lambda store: store.pause_schedule(name, paused=paused))

    done = _run(change())
    state = "paused" if paused else "running"
    click.echo(f"{name} is {state}." if done else f"{name} was {state} already.")


def _moment(option: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailure(
            f"{option} must be a date or a time, like 2026-11-01, got {text!r}"
        ) from None


async def _read(database: Database) -> list[StoredSchedule]:
    async with connected(database), session_for(CLIENT).connect() as store:
        return await store.schedules()


def _to_json(one: StoredSchedule) -> dict[str, Any]:
    return one._asdict() | {"next_tick": ours.next_tick(one)}


def _draw(found: list[StoredSchedule]) -> Table:
    now = datetime.now(UTC)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)

    for title in ("Name", "Expression", "Zone", "Next", "Trouble"):
        table.add_column(title)

    for one in found:
        coming = ours.next_tick(one)
        until = "paused" if coming is None else f"in {human_duration(coming - now)}"
        table.add_row(
            plain(one.name),
            plain(one.expression),
            plain(one.timezone),
            until,
            plain(one.error or ""),
        )

    return table
