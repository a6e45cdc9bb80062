"""Options that find many workflows, for commands that do one thing to all of them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, get_args

import click

from oban_pro import Workflow
from oban_pro.model.status import WorkflowState
from oban_pro.model.typed import read_attribute, read_moment
from oban_pro.model.wording import visible

from .client import CLIENT, connected, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import datetime

    from click import Context, Parameter

    from .database import Database


def _moment(_: Context, __: Parameter, text: str | None) -> datetime | None:
    with _told():
        return None if text is None else read_moment(text)


def _attributes(_: Context, __: Parameter, given: tuple[str, ...]) -> dict[str, Any] | None:
    with _told():
        return dict(map(read_attribute, given)) or None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


where_option = click.option(
    "--where",
    "attributes",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_attributes,
    help="Only workflows with this attribute; a number, true, false, null or text.",
)
since_option = click.option(
    "--since",
    metavar="TIME",
    callback=_moment,
    help="Only workflows inserted since then: 1d ago, or at 2026-11-28T08:00.",
)
until_option = click.option(
    "--until",
    metavar="TIME",
    callback=_moment,
    help="Only workflows inserted before that.",
)
_STATES = [one for one in get_args(WorkflowState.__value__) if one != "unknown"]
_OPTIONS = (
    click.option("--all", "is_all", is_flag=True, help="All workflows that the filters find."),
    click.option("--name", help="Only workflows with just this name."),
    click.option("--state", type=click.Choice(_STATES), help="Only workflows in this state."),
    where_option,
    since_option,
    until_option,
    click.option("--yes", is_flag=True, help="Do not ask before all of them."),
)


def found_options[R](command: Callable[..., R]) -> Callable[..., R]:
    """Give a command options that find workflows, and pass it their filters, or None without --all.

    It has to have an argument ``id``, which stands for a single one instead.
    """

    @wraps(command)
    def with_filters(
        *args: Any,
        id: str | None,
        is_all: bool,
        name: str | None,
        state: str | None,
        attributes: dict[str, Any] | None,
        since: datetime | None,
        until: datetime | None,
        yes: bool,
        **options: Any,
    ) -> R:
        given = {
            "name": name,
            "state": state,
            "attributes": attributes,
            "since": since,
            "until": until,
        }
        filters = {key: value for key, value in given.items() if value is not None}

        if is_all == (id is not None):
            raise click.UsageError("Give the ID of a workflow, or --all with filters.")

        if filters and not is_all:
            raise click.UsageError("Filters need --all.")

        if is_all and not filters:
            raise click.UsageError(
                "--all needs a filter: --name, --state, --where, --since or --until."
            )

        found = (filters, yes) if is_all else None

        return command(*args, id=id, found=found, **options)

    for option in reversed(_OPTIONS):
        with_filters = option(with_filters)

    return with_filters


type Found = tuple[dict[str, Any], bool]
"""Filters, and whether not to ask."""

type All = Callable[..., AsyncIterator[Workflow]]


def do_to_all(database: Database, found: Found, act: All, done: str, **options: Any) -> None:
    """Count the workflows that are found, ask, and do something to each of them.

    Args:
        database: Where to look.
        found: What `found_options` passed.
        act: `Workflow.cancel_all`, or one like it.
        done: What was done, as in ``cancelled``.
        options: For ``act``.
    """
    filters, yes = found
    count = run(_count(database, act(oban=CLIENT, dry_run=True, **filters)))
    workflows = "1 workflow" if count == 1 else f"{count} workflows"

    if count == 0:
        click.echo("No such workflows.")
        return

    if not yes:
        click.confirm(f"{workflows} will be {done}. Go on?", abort=True)

    changed = run(_act(database, act(oban=CLIENT, **filters, **options), done))
    click.echo(f"{changed} of {workflows} {done}.")


async def _count(database: Database, found: AsyncIterator[Workflow]) -> int:
    async with connected(database):
        return sum([1 async for _ in found])


async def _act(database: Database, changed: AsyncIterator[Workflow], done: str) -> int:
    count = 0

    async with connected(database):
        async for workflow in changed:
            count += 1
            click.echo(f"{done.capitalize()} {visible(workflow.id)}.")

    return count
