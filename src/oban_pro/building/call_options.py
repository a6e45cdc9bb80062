"""What can be set for functions that are added to a workflow, as type checkers know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .arguments import FunctionOptions
from .conditions import Condition

if TYPE_CHECKING:
    from datetime import timedelta

    from oban_pro.values.context import Context

    from .tolerance import Tolerate
    from .waits import Moment


class MemberOptions(FunctionOptions, total=False):
    """What can be set for a function as a member of a workflow."""

    ignore_cancelled: bool | None
    ignore_discarded: bool | None
    deadline: Moment | None
    delay: timedelta | float | None
    need: int | None
    limit: int | None
    rate: tuple[int, timedelta | float] | None
    tolerate: Tolerate | None
    fail_fast: bool
    when: Condition | None


class CallOptions(MemberOptions, total=False):
    """What can be set for a call: its name, its deps, and what can be set for any function."""

    name: str
    deps: object
    undo: Callable[[Context], object] | Callable[[Any, Context], object] | None


class FinalOptions(FunctionOptions, total=False):
    """What can be set for a final job: its name, final jobs as deps, and options of the job."""

    name: str
    deps: object


class CascadeOptions(MemberOptions, total=False):
    """What can be set for a function of `Workflow.add_cascade`."""

    lazy: bool
