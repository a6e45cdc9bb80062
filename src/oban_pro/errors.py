"""Every exception that this package raises, except those of the embedded server.

All of them derive from `WorkflowError`; each also derives from the builtin it resembles, so code
that catches `ValueError` or `TypeError` keeps working.
"""

from __future__ import annotations

import re

import psycopg.errors

_TRACEBACK = re.compile(r"(?:  \+ Exception Group )?Traceback \(most recent call last\):")
_IN_GROUP = "  | "


def message_of(error: str) -> str:
    """Return the line of a stored error that says what went wrong.

    Args:
        error: As oban stores it, a traceback in most cases.

    Returns:
        Of a traceback, the first line of the last exception; of anything else, its first line.

    Example:
        >>> {name: message_of(error) for name, error in context.failed("call").items()}
        {'13': 'ValueError: bad date'}
    """
    message, in_stack = "", False

    for line in error.splitlines():
        if _TRACEBACK.fullmatch(line):
            message, in_stack = "", True
        elif not message and line.strip():
            text = line.removeprefix(_IN_GROUP) if in_stack else line.strip()
            message = "" if in_stack and text.startswith(" ") else text

    return message


class WorkflowError(Exception):
    """Base of all errors raised by this package."""


class InvalidNameError(WorkflowError, ValueError):
    """A name is not a non-empty string that PostgreSQL can hold."""


class DuplicateNameError(WorkflowError, ValueError):
    """A name is taken within its workflow."""


class DuplicateIdError(WorkflowError, ValueError):
    """A workflow id is used twice, in one workflow or in the database."""


class IncompleteWorkflowError(WorkflowError, ValueError):
    """A workflow id is taken by a workflow some of whose jobs were deleted."""


class UnknownDependencyError(WorkflowError, ValueError):
    """A dependency names nothing in its workflow."""


class CycleError(WorkflowError, ValueError):
    """Dependencies lead back to where they started."""


class InvalidJobError(WorkflowError, TypeError):
    """Something else stands where a job belongs."""


class InvalidArgumentError(WorkflowError, TypeError):
    """An argument has the wrong type."""


class InvalidOptionError(WorkflowError, ValueError):
    """An option has a value that it cannot have."""


class InvalidFunctionError(WorkflowError, TypeError):
    """A function cannot be used as a cascade, or for its backoff."""


class FunctionNotFoundError(WorkflowError, LookupError):
    """A function that a row names cannot be imported where it is to run."""


class ForbiddenCodeError(FunctionNotFoundError):
    """A row names code that no row may run here: see the setting ``modules``."""


class InvalidSignalError(WorkflowError, ValueError):
    """A wait cannot take this signal, or the signal goes to a job that takes none."""


class InvalidScheduleError(WorkflowError, ValueError):
    """A schedule has an option that cannot be used, or its function returns no workflow."""


class OpenWorkflowError(WorkflowError, RuntimeError):
    """An operation that needs a settled workflow was called on one that is open."""


class UnknownJobError(WorkflowError, LookupError):
    """There is no job with an id."""


class NotInJobError(WorkflowError, RuntimeError):
    """A call for running jobs was made elsewhere, or in another task than the job's own."""


class InTransactionError(WorkflowError, RuntimeError):
    """A call that waits was made in a transaction, which would stay open while it waits."""


class SignalTimeout(WorkflowError, TimeoutError):  # noqa: N818
    """No signal came in the time that a job has waited for one."""


class NotYetError(WorkflowError, RuntimeError):
    """A placeholder is used as a value while a workflow is built."""


class JobFailedError(WorkflowError, RuntimeError):
    """A job whose result somebody waits for was cancelled or discarded.

    Attributes:
        path: Of the job, or of the group.
        state: ``"cancelled"`` or ``"discarded"``.
        error: The last error of the job, or of one that failed in the group; None without one.
    """

    def __init__(self, path: str, state: str, error: str | None = None) -> None:
        super().__init__(path, state, error)
        self.path = path
        self.state = state
        self.error = error

    @property
    def message(self) -> str | None:
        """The line of the error that says what went wrong; None without an error.

        Example:
            >>> try:
            ...     await workflow.result("load")
            ... except JobFailedError as failed:
            ...     print(failed.path, failed.message)
            load ValueError: bad date
        """
        return None if self.error is None else message_of(self.error)

    def __str__(self) -> str:
        reason = "" if self.error is None else f": {self.error}"

        return f"{self.path!r} was {self.state}{reason}"


class CascadeError(WorkflowError, RuntimeError):
    """A cascade ended in a way that no job can, or returned what cannot be recorded."""


class GraftError(WorkflowError, RuntimeError):
    """A job tried to graft but is not a grafter, or is no longer executing."""


class UnknownWorkflowError(WorkflowError, LookupError):
    """There is no workflow with such an id."""


class UnknownNameError(WorkflowError, LookupError):
    """Nothing in a workflow has such a name."""


class MissingContextError(WorkflowError, KeyError):
    """A cascade asked for something that is not in its context."""

    def __str__(self) -> str:
        return str(self.args[0])


class UnsupportedTypeError(WorkflowError, TypeError):
    """A value has a part that cannot be encoded, which the message names with its path."""


class CodecError(WorkflowError, ValueError):
    """A value nests too deeply or is too large, or a stored value cannot be decoded."""


class UniqueConflictError(WorkflowError, ValueError):
    """Another workflow holds the key of a unique workflow, or too many wait in line for it.

    Args:
        message: What happened.
        workflow_id: The workflow that holds the key.
    """

    def __init__(self, message: str, workflow_id: str | None = None) -> None:
        super().__init__(message)
        self.workflow_id = workflow_id


class PartialWorkflowError(WorkflowError, ValueError):
    """Some jobs of a workflow are enqueued without the others."""


class NotInWorkflowError(WorkflowError, ValueError):
    """A job belongs to no workflow."""


class InvalidDsnError(WorkflowError, ValueError):
    """A connection string cannot be read. Its text is not repeated: it may hold a password."""


class MissingExtraError(WorkflowError, ImportError):
    """A package is not installed that something optional needs; the message names the extra."""


class SettingsError(WorkflowError, ValueError):
    """A setting of this package does not exist, or has a value that cannot be used."""


class SchemaError(WorkflowError, RuntimeError):
    """The tables of this package are missing, foreign, or of another version."""


class MissingRightError(SchemaError, PermissionError):
    """The role of a connection lacks a right, which the message grants."""


class SchemaVersionError(SchemaError):
    """The tables or functions of this package are of a version that it cannot work with."""


class SchemaLockedError(SchemaError):
    """Somebody holds a table that an installation has to change, and does not let go of it."""


class UnheardError(WorkflowError, RuntimeError):
    """Notifications do not arrive, as through a pooler in transaction mode."""


class ReadOnlyError(WorkflowError, psycopg.errors.ReadOnlySqlTransaction):
    """The database takes no changes, as a standby."""

    @classmethod
    def because_of(cls, error: psycopg.Error) -> ReadOnlyError:
        """Build this error from PostgreSQL's own."""
        return cls(
            "the database takes no changes, as it is a standby or read-only otherwise;"
            f" use the primary: {error}"
        )
