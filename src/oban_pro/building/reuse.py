"""Another workflow, whose results may stand for those of a new one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from oban_pro.errors import InvalidArgumentError

from .names import check_text


class Reuse(NamedTuple):
    """The workflow whose results are reused, and paths of what runs again in any case."""

    workflow_id: str
    rerun: tuple[str, ...] = ()


def check_reuse(own_id: str, workflow_id: object, rerun: object) -> Reuse:
    """Return what a workflow reuses.

    Raises:
        InvalidNameError: If the id, or one of the names, is not text that PostgreSQL can hold.
        InvalidArgumentError: If the id is that of the workflow itself, or ``rerun`` is no list.
    """
    old = check_text(workflow_id, "id of the workflow to reuse")

    if old == own_id:
        raise InvalidArgumentError(f"workflow {own_id!r} must reuse another one, got its own id")

    if isinstance(rerun, str) or not isinstance(rerun, Iterable):
        raise InvalidArgumentError(f"rerun must be a list of names, got {rerun!r}")

    return Reuse(old, tuple(check_text(path, "name to run again") for path in rerun))


def refuse_reuse(what: str, reuse: Reuse | None) -> None:
    """Refuse to reuse results in what is no root.

    Raises:
        InvalidArgumentError: If it is to.
    """
    if reuse is not None:
        raise InvalidArgumentError(
            f"{what} must not reuse another workflow, as only the root workflow may; got"
            f" {reuse.workflow_id!r}"
        )
