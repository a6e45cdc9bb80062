"""Naming the GRANT where PostgreSQL says that something is forbidden."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from psycopg import Error
from psycopg.errors import InsufficientPrivilege
from psycopg.pq import TransactionStatus

from oban_pro import rights

from . import role_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from psycopg import AsyncConnection

    from oban_pro._host import Query
    from oban_pro.errors import MissingRightError

type Connect = Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]]

logger = logging.getLogger(__name__)

# Instances that run as plain oban, because their roles lack rights.
_warned: WeakSet[Query] = WeakSet()


@asynccontextmanager
async def explained(kind: rights.Kind, prefix: str, connect: Connect) -> AsyncIterator[None]:
    """Name the GRANT where the role of a connection may not do something.

    Args:
        kind: What the role is needed for.
        prefix: The schema of the tables.
        connect: Provides a connection of the same role, to look at its rights.

    Raises:
        MissingRightError: If the role lacks one.
    """
    try:
        yield
    except InsufficientPrivilege as error:
        found = None

        # An error while looking at rights must not replace the first one.
        with suppress(Error):
            async with connect() as conn:
                found = await rights.explain(conn, prefix, kind, error)

        # Something else may be forbidden: by a policy, or in a trigger of the user's.
        if found is None:
            raise

        raise found from error


@asynccontextmanager
async def borrowed(caller: AsyncConnection[Any]) -> AsyncIterator[AsyncConnection[Any]]:
    """Look at something on a connection of the caller's, without leaving a transaction open."""
    was_idle = caller.info.transaction_status == TransactionStatus.IDLE

    try:
        yield caller
    finally:
        if was_idle:
            await role_settings.end(caller)


def warn_once(query: Query, error: MissingRightError) -> None:
    """Log once that an instance runs as plain oban, without this package."""
    if query not in _warned:
        _warned.add(query)
        logger.warning("Doing as oban does without this package: %s", error)
