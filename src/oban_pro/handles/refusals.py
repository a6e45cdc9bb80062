"""Turning refusals of the database into errors of ours."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from psycopg import DatabaseError

from oban_pro.errors import (
    InvalidOptionError,
    InvalidSignalError,
    UniqueConflictError,
    UnknownJobError,
    UnknownNameError,
    UnknownWorkflowError,
)

from .locating import require_one

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oban_pro.engine.session import Session
    from oban_pro.engine.store import Store

# The messages that functions in ``sql/functions`` raise.
_UNKNOWN_NAME = "OBW12"
_ERRORS: dict[str | None, type[Exception]] = {
    "OBW11": UnknownWorkflowError,
    _UNKNOWN_NAME: UnknownNameError,
    "OBW13": InvalidSignalError,
    "OBW14": UnknownJobError,
    "OBW15": InvalidOptionError,
    "OBW17": UniqueConflictError,
}


def is_refusal(error: DatabaseError) -> bool:
    """Tell whether the database refused something, and so changed nothing."""
    return error.sqlstate in _ERRORS


@asynccontextmanager
async def naming[S: Store](
    session: Session[S], workflow_id: str | None = None, path: str | None = None
) -> AsyncIterator[None]:
    """Raise an error of ours when the database refuses, with the closest name if that helps.

    Raises:
        UnknownWorkflowError: If there is no such workflow.
        UnknownNameError: If there is nothing at that path.
        UnknownJobError: If there is no such job.
        InvalidSignalError: If what was sent cannot be taken.
        InvalidOptionError: If what is to be limited is no fan-out.
    """
    try:
        yield
    except DatabaseError as error:
        refused = _ERRORS.get(error.sqlstate)

        if refused is None:
            raise

        if refused is UnknownNameError and workflow_id is not None and path is not None:
            async with session.connect() as store:
                await require_one(store, workflow_id, path)

        hint = error.diag.message_hint
        message = error.diag.message_primary or str(error)

        if refused is UniqueConflictError:
            raise UniqueConflictError(message, error.diag.message_detail) from None

        raise refused(f"{message}; {hint}" if hint else message) from None
