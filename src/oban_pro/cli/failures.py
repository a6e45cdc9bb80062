"""How commands fail: one line on standard error and an exit code, no traceback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import psycopg

from oban_pro.embedded import EmbeddedError
from oban_pro.errors import WorkflowError
from oban_pro.model.wording import visible

if TYPE_CHECKING:
    from collections.abc import Iterator


class CommandFailure(click.ClickException):
    """A reason to stop, in one line; the process ends with 1."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(" ".join(message.split())))


class CouldNotRun(CommandFailure):
    """A failure of a command whose 1 means something else; the process ends with 2."""

    exit_code = 2


@contextmanager
def explained(failure: type[CommandFailure] = CommandFailure) -> Iterator[None]:
    """Turn errors whose message says enough without a traceback into a failure.

    Args:
        failure: What to raise in their place.

    Raises:
        CommandFailure: Of that class.
    """
    try:
        yield
    except (WorkflowError, EmbeddedError, ValueError) as error:
        raise failure(str(error)) from error
    except psycopg.Error as error:
        raise failure(f"database must be usable, got: {error}") from error
    except CommandFailure as error:
        raise failure(error.message) from error
