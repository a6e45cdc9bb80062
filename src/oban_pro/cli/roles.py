"""Options that name roles of the database, to be granted what they need."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypedDict

import click

if TYPE_CHECKING:
    from collections.abc import Callable


KINDS = {
    "worker": "Role of nodes, and of whoever cancels and retries; repeatable.",
    "enqueuer": "Role that only enqueues and appends; repeatable.",
    "reader": "Role that only looks; repeatable.",
}


class Roles(TypedDict):
    """Names of roles, by what they are for."""

    workers: tuple[str, ...]
    enqueuers: tuple[str, ...]
    readers: tuple[str, ...]


def role_options[R](start: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command options that name roles, and pass it the `Roles` named.

    Args:
        start: What the names of the options begin with.
    """

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @wraps(command)
        def with_roles(
            *args: Any,
            worker: tuple[str, ...],
            enqueuer: tuple[str, ...],
            reader: tuple[str, ...],
            **options: Any,
        ) -> R:
            roles = Roles(workers=worker, enqueuers=enqueuer, readers=reader)

            return command(*args, roles=roles, **options)

        # click shows the option that is added last first.
        for kind, text in reversed(KINDS.items()):
            with_roles = click.option(
                f"--{start}{kind}", kind, metavar="ROLE", multiple=True, help=text
            )(with_roles)

        return with_roles

    return decorate
