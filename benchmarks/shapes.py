"""What is enqueued: one function for each shape of work, by the name it has in a `Run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .workers import Hop, Noop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oban import Job

    from oban_pro import Workflow

JOBS_PER_DIAMOND = 4


def independent(size: int) -> Iterable[Job]:
    """As many jobs as asked for, of no workflow."""
    return [Noop.new({"n": n}) for n in range(size)]


def hops(size: int) -> Iterable[Job]:
    """The first of a chain of jobs that enqueue each other."""
    return [Hop.new({"left": size - 1})]


def fan_out(size: int) -> Iterable[Job]:
    """Spread one job to many and join them in one, by `add_many`."""
    return (
        _workflow()
        .add("setup", Noop.new({}))
        .add_many("all", independent(size - 2), deps="setup")
        .add("finish", Noop.new({}), deps="all")
    )


def fan_out_singly(size: int) -> Iterable[Job]:
    """Spread one job to many and join them in one, each with its own name and edges."""
    workflow = _workflow().add("setup", Noop.new({}))
    names = [f"job-{n}" for n in range(size - 2)]

    for name, job in zip(names, independent(size - 2), strict=True):
        workflow.add(name, job, deps="setup")

    return workflow.add("finish", Noop.new({}), deps=names)


def chain(size: int) -> Iterable[Job]:
    """Run one job after the other."""
    workflow = _workflow().add("0", Noop.new({}))

    for n in range(1, size):
        workflow.add(str(n), Noop.new({}), deps=str(n - 1))

    return workflow


def diamonds(size: int) -> Iterable[Job]:
    """Run small workflows of four jobs at once."""
    return [job for _ in range(size // JOBS_PER_DIAMOND) for job in _diamond()]


SHAPES: dict[str, Callable[[int], Iterable[Job]]] = {
    shape.__name__: shape for shape in (independent, hops, fan_out, fan_out_singly, chain, diamonds)
}


def _diamond() -> Workflow:
    return (
        _workflow()
        .add("top", Noop.new({}))
        .add("left", Noop.new({}), deps="top")
        .add("right", Noop.new({}), deps="top")
        .add("bottom", Noop.new({}), deps=["left", "right"])
    )


def _workflow() -> Workflow:
    # where plain oban is measured, this package cannot be imported
    from oban_pro import Workflow

    return Workflow()
