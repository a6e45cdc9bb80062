"""Every exception that this package raises.

All of them derive from `WorkflowError`; each also derives from the builtin it resembles, so code
that catches `ValueError` or `TypeError` keeps working.
"""


class WorkflowError(Exception):
    """Base of all errors raised by this package."""


class InvalidNameError(WorkflowError, ValueError):
    """A name is not a non-empty string that PostgreSQL can hold."""


class DuplicateNameError(WorkflowError, ValueError):
    """A name is taken within its workflow."""


class DuplicateIdError(WorkflowError, ValueError):
    """A workflow id is used twice, in one workflow or in the database."""


class UnknownDependencyError(WorkflowError, ValueError):
    """A dependency names nothing in its workflow."""


class CycleError(WorkflowError, ValueError):
    """Dependencies lead back to where they started."""


class InvalidJobError(WorkflowError, TypeError):
    """Something else stands where a job belongs."""


class InvalidArgumentError(WorkflowError, TypeError):
    """An argument of a builder method has the wrong type."""


class InvalidOptionError(WorkflowError, ValueError):
    """An option of a cascade's jobs has a value that no job can have."""


class InvalidFunctionError(WorkflowError, TypeError):
    """A function cannot be used as a cascade."""


class FunctionNotFoundError(WorkflowError, LookupError):
    """The function of a cascade cannot be imported where it is to run."""


class CascadeError(WorkflowError, RuntimeError):
    """A cascade ended in a way that no job can, or returned what cannot be recorded."""


class GraftError(WorkflowError, RuntimeError):
    """A job grafts that may not, or not any more."""


class UnknownWorkflowError(WorkflowError, LookupError):
    """There is no workflow with such an id."""


class UnknownNameError(WorkflowError, LookupError):
    """Nothing in a workflow has such a name."""


class MissingContextError(WorkflowError, KeyError):
    """A cascade asked for something that is not in its context."""

    def __str__(self) -> str:
        return str(self.args[0])


class PartialWorkflowError(WorkflowError, ValueError):
    """Some jobs of a workflow are enqueued without the others."""


class NotInWorkflowError(WorkflowError, ValueError):
    """A job belongs to no workflow."""


class SchemaError(WorkflowError, RuntimeError):
    """The tables of this package are missing, foreign, or of another version."""
