"""Shell completion of workflow ids, and of paths in workflows."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType
from psycopg.conninfo import make_conninfo

from oban_pro import blocking
from oban_pro.engine.caller_session import session_at
from oban_pro.model.paths import join_path
from oban_pro.model.status import paths_of
from oban_pro.model.wording import visible

from .database import load_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oban_pro.engine.store import Store

PATIENCE = 2
"""Seconds that a shell may wait for a database."""

MAX_LISTED = 100
"""How many ids are offered."""

MAX_MEMBERS = 5_000
"""Nothing is offered of a group with more members."""


def with_completion(command: click.Command) -> click.Command:
    """Complete the arguments of a command that stand for a workflow, or for what is in one."""
    names = {param.name for param in command.params}

    for param in command.params:
        if isinstance(param, click.Argument) and param.type is click.STRING and "id" in names:
            param.type = _TYPES.get(param.name or "", param.type)

    return command


class WorkflowId(StringParamType):
    """The id of a workflow."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the newest ids that begin with the text, else ids of workflows with such a name."""

        async def read(store: Store) -> list[CompletionItem]:
            found = await store.roots(None, incomplete or None, MAX_LISTED, 0)
            beginning = [one for one in found if one.id.startswith(incomplete)]

            return [
                CompletionItem(one.id, help=f"{visible(one.name or '')} {one.state}".strip())
                for one in beginning or found
            ]

        return _ask(ctx, read)


class MemberPath(StringParamType):
    """The name of what is in a workflow, or a path to it."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer paths that begin with the text, up to the next ``/``."""

        async def read(store: Store) -> list[CompletionItem]:
            groups = await store.status(str(ctx.params.get("id")))
            given = ctx.params.get(param.name or "")
            named = {*given} if isinstance(given, tuple) else set()
            offered: list[CompletionItem] = []

            for group, prefix in paths_of(groups) if groups else []:
                total = group.counts.total()

                if not incomplete.startswith(prefix) or group.kind == "graft":
                    continue

                for member in await store.members(group.key) if total <= MAX_MEMBERS else []:
                    path = prefix + join_path([member.name])

                    if path.startswith(incomplete) and path not in named:
                        offered.append(CompletionItem(path, help=member.state))

            return offered

        return _ask(ctx, read)


def _ask(
    ctx: click.Context, read: Callable[[Store], Awaitable[list[CompletionItem]]]
) -> list[CompletionItem]:
    """Read what there is to offer; nothing where the database cannot be asked in time."""

    async def ask() -> list[CompletionItem]:
        options = (ctx.params.get(name) for name in ("dsn", "prefix", "config"))
        database = load_database(*options)
        dsn = make_conninfo(database.dsn, connect_timeout=PATIENCE)

        async with blocking.timeout(PATIENCE), session_at(dsn, database.prefix).connect() as store:
            return [one for one in await read(store) if one.value == visible(one.value)]

    # While a word is being completed, no error may be printed.
    with suppress(Exception):
        return blocking.run(ask())

    return []


_TYPES: dict[str, StringParamType] = {
    "id": WorkflowId(),
    "other": WorkflowId(),
    "name": MemberPath(),
    "names": MemberPath(),
    "path": MemberPath(),
}
