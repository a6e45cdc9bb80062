"""The shapes of work that are enqueued: a `Run` names one of these functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import functions
from .workers import Hop, Noop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oban import Job

    from oban_pro import Workflow

JOBS_PER_DIAMOND = 4
DEPTH = 5


def independent(size: int) -> Iterable[Job]:
    """Make jobs that belong to no workflow."""
    return [Noop.new({"n": n}) for n in range(size)]


def hops(size: int) -> Iterable[Job]:
    """Make the first job of a chain in which each job enqueues the next."""
    return [Hop.new({"left": size - 1})]


def fan_out(size: int) -> Iterable[Job]:
    """Build one job, many jobs that depend on it, and one that depends on them, by `add_many`."""
    return (
        _workflow()
        .add("setup", Noop.new({}))
        .add_many("all", independent(size - 2), deps="setup")
        .add("finish", Noop.new({}), deps="all")
    )


def fan_out_singly(size: int) -> Iterable[Job]:
    """Build the same workflow with `add`, so that each job has its own name and edges."""
    return _spread(_workflow().add("setup", Noop.new({})), size)


def fan_in(size: int) -> Iterable[Job]:
    """Build many jobs, and one that needs all of them."""
    return _fan_in(size)


def fan_in_of_any(size: int) -> Iterable[Job]:
    """Build many jobs, and one that needs one of them."""
    return _fan_in(size, need=1)


def skipped(size: int) -> Iterable[Job]:
    """Build `fan_out_singly` with a skipped first job, so that one wave skips all others."""
    workflow = _workflow().add("setup", Noop.new({}), when=functions.never)

    return _spread(workflow, size)


def chain(size: int) -> Iterable[Job]:
    """Build a chain, in which jobs run one after the other."""
    workflow = _workflow().add("0", Noop.new({}))

    for n in range(1, size):
        workflow.add(str(n), Noop.new({}), deps=str(n - 1))

    return workflow


def diamonds(size: int) -> Iterable[Job]:
    """Build many workflows of four jobs each."""
    return [job for _ in range(size // JOBS_PER_DIAMOND) for job in _diamond()]


def nested(size: int) -> Iterable[Job]:
    """Build a hundred sub-workflows that hold all jobs; they are nested five deep."""
    workflow = _workflow()

    for n in range(100 // DEPTH):
        workflow.add_workflow(f"sub-{n}", _nest(size // 100, DEPTH))

    return workflow


def fan_outs_of_ten(size: int) -> Iterable[Job]:
    """Build many workflows of one job, ten jobs and one job."""
    return [job for _ in range(size // 12) for job in fan_out(12)]


def cascades(size: int) -> Iterable[Job]:
    """Build the fan-out with cascades, which pass results."""
    return _cascades(size, functions.item)


def chain_of_cascades(size: int) -> Iterable[Job]:
    """Build a chain of cascades. Each cascade receives the result of the one before it."""
    workflow = _workflow().add_cascade("0", functions.start)

    for n in range(1, size):
        workflow.add_cascade(str(n), functions.onward, deps=str(n - 1))

    return workflow


def cascades_in_threads(size: int) -> Iterable[Job]:
    """Build `cascades` with plain functions for the items."""
    return _cascades(size, functions.item_in_thread)


def cascades_of_ten(size: int) -> Iterable[Job]:
    """Build many workflows of cascades over ten items."""
    return [job for _ in range(size // 12) for job in cascades(12)]


SHAPES: dict[str, Callable[[int], Iterable[Job]]] = {
    shape.__name__: shape
    for shape in (
        independent,
        hops,
        fan_out,
        fan_outs_of_ten,
        fan_out_singly,
        fan_in,
        fan_in_of_any,
        skipped,
        nested,
        chain,
        diamonds,
        cascades,
        chain_of_cascades,
        cascades_in_threads,
        cascades_of_ten,
    )
}


def _spread(workflow: Workflow, size: int) -> Workflow:
    names = [f"job-{n}" for n in range(size - 2)]

    for name, job in zip(names, independent(size - 2), strict=True):
        workflow.add(name, job, deps="setup")

    return workflow.add("finish", Noop.new({}), deps=names)


def _fan_in(size: int, need: int | None = None) -> Workflow:
    workflow = _workflow()
    names = [f"job-{n}" for n in range(size - 1)]

    for name, job in zip(names, independent(size - 1), strict=True):
        workflow.add(name, job)

    return workflow.add("finish", Noop.new({}), deps=names, need=need)


def _nest(jobs: int, depth: int) -> Workflow:
    workflow = _workflow().add_many("all", independent(jobs))

    return workflow.add_workflow("sub", _nest(jobs, depth - 1)) if depth > 1 else workflow


def _diamond() -> Workflow:
    return (
        _workflow()
        .add("top", Noop.new({}))
        .add("left", Noop.new({}), deps="top")
        .add("right", Noop.new({}), deps="top")
        .add("bottom", Noop.new({}), deps=["left", "right"])
    )


def _cascades(size: int, item: Callable[[int, dict[str, Any]], object]) -> Iterable[Job]:
    return (
        _workflow()
        .add_cascade("setup", functions.start)
        .add_cascade("all", (range(size - 2), item), deps="setup")
        .add_cascade("finish", functions.total, deps="all")
    )


def _workflow() -> Workflow:
    # when plain oban is measured, this package cannot be imported
    from oban_pro import Workflow

    return Workflow()
