"""Keys that at most one workflow holds at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oban_pro.errors import InvalidArgumentError
from oban_pro.model.durations import check_duration

from .names import check_text

if TYPE_CHECKING:
    from datetime import timedelta

type OnConflict = Literal["existing", "raise", "replace", "queue"]
"""What happens to a workflow whose key another one holds."""

MODES = ("existing", "raise", "replace", "queue")

# The bit of the rules that a root uses; see the migration that adds the column.
KEYS = 1024


@dataclass(frozen=True, slots=True)
class Unique:
    """The key of a workflow, how long it is held at least, and what to do on a conflict."""

    key: str
    seconds: float | None
    mode: OnConflict
    max_queued: int | None


def check_unique(
    name: str | None,
    unique: object,
    *,
    unique_for: timedelta | float | None,
    on_conflict: object,
    max_queued: object,
) -> Unique | None:
    """Check what makes a workflow unique.

    Args:
        name: Of the workflow.
        unique: A key; True for the name; False or None for none.
        unique_for: How long after its insertion it holds the key at least.
        on_conflict: What it does if another one holds the key; None for ``"existing"``.
        max_queued: How many may wait in line.

    Raises:
        InvalidArgumentError: If an argument has the wrong type, or lacks the one it goes with.
        InvalidNameError: If the key is empty.
        InvalidOptionError: If the duration is not finite and positive.
    """
    if unique is None or unique is False:
        given = {"unique_for": unique_for, "on_conflict": on_conflict, "max_queued": max_queued}

        for option, value in given.items():
            if value is not None:
                raise InvalidArgumentError(f"{option} needs unique=True, or unique with a key")

        return None

    if unique is True and name is None:
        raise InvalidArgumentError("unique=True needs a name, which is the key then")

    if unique is not True and not isinstance(unique, str):
        raise InvalidArgumentError(f"unique must be a key or True, got {unique!r}")

    key = name if unique is True else check_text(unique, "unique")
    assert key is not None
    mode = _check_mode(on_conflict)

    if max_queued is not None:
        _check_max(max_queued, mode)

    seconds = None if unique_for is None else check_duration("unique_for", unique_for)

    return Unique(key, seconds and seconds.total_seconds(), mode, max_queued)  # type: ignore[arg-type]


def _check_mode(on_conflict: object) -> OnConflict:
    if on_conflict is None:
        return "existing"

    if on_conflict not in MODES:
        known = ", ".join(map(repr, MODES))
        raise InvalidArgumentError(f"on_conflict must be one of {known}, got {on_conflict!r}")

    return on_conflict  # type: ignore[return-value]


def _check_max(max_queued: object, mode: OnConflict) -> None:
    if mode != "queue":
        raise InvalidArgumentError("max_queued needs on_conflict='queue'")

    if isinstance(max_queued, bool) or not isinstance(max_queued, int) or max_queued < 0:
        raise InvalidArgumentError(f"max_queued must be an int from 0 on, got {max_queued!r}")
