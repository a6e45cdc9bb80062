"""What the doctor finds."""

from __future__ import annotations

from typing import NamedTuple

LOST_OBJECT = "object"
UNREADABLE_STORE = "store"


class Difference(NamedTuple):
    """A value in the bookkeeping that does not fit the states of the jobs.

    ``name`` is that of the job or nested workflow within its workflow, None for a root. Where the
    row of a job is gone and nobody knows how the job ended, ``field`` is ``"gone"`` and ``actual``
    is ``"unknown"``: nothing mends that by itself. Of a sequence that is behind the ids in use,
    ``field`` is ``"sequence"``, ``name`` that of the sequence, and both ids are None. Of an object
    in a store that nothing refers to it is ``"object"``, of a store that cannot be listed
    ``"store"``; ``name`` is the URL then.
    """

    root_id: str | None
    workflow_id: str | None
    name: str | None
    field: str
    stored: str | None
    actual: str | None

    @property
    def is_unknown(self) -> bool:
        """Whether it says that nobody knows how a job ended."""
        return (self.field, self.actual) == ("gone", "unknown")

    def __str__(self) -> str:
        if self.field == LOST_OBJECT:
            return f"nothing refers to the object {self.name}"

        if self.field == UNREADABLE_STORE:
            return f"the store {self.name} cannot be listed: {self.stored}"

        if self.workflow_id is None:
            return (
                f"sequence {self.name} must be at {self.actual}, got {self.stored or 'its start'}"
            )

        where = self.workflow_id if self.name is None else f"{self.workflow_id}/{self.name}"

        if self.is_unknown:
            return f"the row of {where} is gone, and nobody knows how the job ended"

        return f"{self.field} of {where} must be {self.actual}, got {self.stored}"
