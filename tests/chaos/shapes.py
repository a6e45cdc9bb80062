"""Workflows of random shapes, each with a record of what was built beside it."""

from __future__ import annotations

from functools import partialmethod
from typing import TYPE_CHECKING, Any, Literal

from oban_pro import Workflow, from_result
from tests.chaos import work
from tests.chaos.node import LIMITED
from tests.chaos.record import Entry, Root
from tests.support.model import Group, Job

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

KINDS = (
    ["job"] * 5
    + ["cascade"] * 4
    + ["many", "items", "graft", "grafting", "mapped", "sub", "sub", "blocking"]
)
FUNCTIONS = {"cascade": work.gather, "blocking": work.gather_blocking}


def build(
    rng: random.Random, id: str, size: int, buddy: Callable[[], str | None]
) -> tuple[Workflow, Root]:
    """Build a workflow, and the record of it.

    Args:
        buddy: Draws the key of a job that one of these cancels when it completes, or None.
    """
    flags = _flags(rng, often=0.1)
    workflow = Workflow(id=id, ignore_cancelled=flags[0], ignore_discarded=flags[1])
    root = Root(id, Group(id, None, [], flags, "workflow"), {})
    _Growing(rng, root, buddy=buddy).grow(workflow, root.group, size, flags)

    return workflow, root


def build_unique(
    rng: random.Random, id: str, key: str, on_conflict: Literal["queue", "replace"]
) -> tuple[Workflow, Root]:
    """Build a few jobs in a row, under a key that others have as well."""
    workflow = Workflow(id=id, unique=key, on_conflict=on_conflict)
    root = Root(id, Group(id, None, [], (False, False), "workflow"), {}, unique=key)
    before: list[str] = []

    for n in range(rng.randint(1, 3)):
        do = {"seconds": round(rng.uniform(0, 0.5), 3)}
        _Growing(rng, root).add_step(workflow, f"j{n}", do, before)
        before = [f"j{n}"]

    return workflow, root


def build_addition(rng: random.Random, root: Root, n: int) -> tuple[Workflow, Root]:
    """Build what can be appended to a workflow, as a copy of the record with the addition."""
    flags = root.group.ignores
    group = Group(root.id, None, [], flags, "workflow", dict(root.group.children))
    extended = Root(root.id, group, dict(root.entries), unique=root.unique)
    addition = Workflow(check_deps=False, ignore_cancelled=flags[0], ignore_discarded=flags[1])
    growing = _Growing(rng, extended, prefix=f"x{n}.")
    growing.grow(addition, group, rng.randint(1, 3), flags)

    return addition, extended


def _flags(rng: random.Random, often: float) -> tuple[bool, bool]:
    return rng.random() < often, rng.random() < often


class _Growing:
    """Adds members to a workflow and to its record at once."""

    def __init__(
        self,
        rng: random.Random,
        root: Root,
        prefix: str = "",
        buddy: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.rng = rng
        self.root = root
        self.prefix = prefix
        self.buddy = buddy

    def grow(
        self, workflow: Workflow, group: Group, size: int, flags: tuple[bool, bool], depth: int = 0
    ) -> None:
        for n in range(size):
            # Unlike the names of items, which are numbers.
            name = f"{self.prefix}j{n}"
            known = sorted(group.children)
            deps = self.rng.sample(known, min(len(known), self.rng.choice([0, 1, 1, 1, 2])))
            kind = self.rng.choice(KINDS)

            if kind == "sub" and depth == 2:
                kind = "job"

            getattr(self, f"_add_{kind}")(workflow, group, name, deps, flags, depth)

    def _do(self, *, may_fail: bool = True) -> dict[str, Any]:
        """Draw how a job behaves."""
        do: dict[str, Any] = {"seconds": round(self.rng.uniform(0, 0.1), 3)}

        match self.rng.random():
            case x if x < 0.03:
                do |= {"seconds": self.rng.uniform(2, 8), "deaf": True}
            case x if x < 0.08:
                do["seconds"] = self.rng.uniform(1, 4)
            case x if x < 0.16 and may_fail:
                do["fail"] = self.rng.choice([1, 1, 2])
            case x if x < 0.22 and may_fail:
                do["snooze"] = 1

        return do

    def _attempts(self, do: dict[str, Any]) -> int:
        """Draw how many attempts a job has; some of those that fail have too few."""
        return self.rng.choice([20, 20, 20, 1 if not do.get("fail") else 2])

    def _enter(
        self,
        group: Group,
        name: str,
        kind: str,
        do: dict[str, Any],
        deps: list[str],
        ignores: tuple[bool, bool],
        *,
        key: str | None = None,
        max_attempts: int = 20,
    ) -> Entry:
        key = key or f"{group.path}/{name}"
        job = Job(key, group, [group.children[dep] for dep in deps], ignores)
        job.max_attempts = max_attempts
        group.children[name] = job
        self.root.entries[key] = Entry(key, kind, do, job, max_attempts)

        return self.root.entries[key]

    def _group(
        self, group: Group, name: str, kind: str, deps: list[str], flags: tuple[bool, bool]
    ) -> Group:
        path = f"{group.path}/{name}"
        child = Group(path, group, [group.children[dep] for dep in deps], flags, kind)
        group.children[name] = child

        return child

    def _add_job(
        self,
        workflow: Workflow,
        group: Group,
        name: str,
        deps: list[str],
        flags: tuple[bool, bool],
        _depth: int,
    ) -> None:
        do = self._do()
        attempts = self._attempts(do)
        own = self._own_flags(flags)
        entry = self._enter(group, name, "Step", do, deps, own, max_attempts=attempts)
        entry.queue = self.rng.choice(["default"] * 7 + [*LIMITED])
        entry.customer = self.rng.randint(1, 3)
        meta = {"key": entry.key, "do": do}

        if (buddy := self.buddy()) is not None:
            meta[self.rng.choice(["buddy_before", "buddy_after"])] = buddy

        args = {"customer": entry.customer}
        job = work.Step.new(args, meta=meta, max_attempts=attempts, queue=entry.queue)
        workflow.add(name, job, deps=deps, ignore_cancelled=own[0], ignore_discarded=own[1])

    def add_step(self, workflow: Workflow, name: str, do: dict[str, Any], deps: list[str]) -> None:
        """Add a job that does what it is told."""
        entry = self._enter(self.root.group, name, "Step", do, deps, (False, False))
        job = work.Step.new({}, meta={"key": entry.key, "do": do}, max_attempts=20)
        workflow.add(name, job, deps=deps)

    def _own_flags(self, flags: tuple[bool, bool]) -> tuple[bool, bool]:
        return _flags(self.rng, 0.5) if self.rng.random() < 0.2 else flags

    def _add_cascade(
        self,
        workflow: Workflow,
        group: Group,
        name: str,
        deps: list[str],
        flags: tuple[bool, bool],
        _depth: int,
        kind: str = "cascade",
    ) -> None:
        # A function that fails waits for a quarter of a minute until its next attempt.
        do = self._do(may_fail=False)
        attempts = self._attempts(do)
        function = FUNCTIONS[kind]
        own = self._own_flags(flags)
        entry = self._enter(group, name, function.__name__, do, deps, own, max_attempts=attempts)
        workflow.add_cascade(
            name,
            function,
            deps=deps,
            ignore_cancelled=own[0],
            ignore_discarded=own[1],
            max_attempts=attempts,
            meta={"key": entry.key, "do": do},
        )

    _add_blocking = partialmethod(_add_cascade, kind="blocking")

    def _add_many(
        self,
        workflow: Workflow,
        group: Group,
        name: str,
        deps: list[str],
        flags: tuple[bool, bool],
        _depth: int,
    ) -> None:
        child = self._group(group, name, "many", deps, flags)
        child.limit = self.rng.choice([None, 1, 2, 3])
        jobs = []

        for n in range(self.rng.randint(0, 6)):
            do = self._do()
            entry = self._enter(child, str(n), "Step", do, [], flags)
            jobs.append(work.Step.new({}, meta={"key": entry.key, "do": do}))

        workflow.add_many(name, jobs, deps=deps, limit=child.limit, rate=self._rate(child))

    def _rate(self, group: Group) -> tuple[int, float] | None:
        if (rate := self.rng.choice([None, None, (2, 1.0)])) is not None:
            self.root.rates[group.path] = rate

        return rate

    def _add_items(
        self,
        workflow: Workflow,
        group: Group,
        name: str,
        deps: list[str],
        flags: tuple[bool, bool],
        _depth: int,
    ) -> None:
        child = self._group(group, name, "many", deps, flags)
        child.limit = self.rng.choice([None, 1, 2])
        do = self._do(may_fail=False)
        keys = [str(n) for n in range(self.rng.randint(0, 5))]

        for key in keys:
            self._enter(child, key, "gather_item", do, [], flags)

        workflow.add_cascade(
            name,
            (keys, work.gather_item),
            deps=deps,
            limit=child.limit,
            rate=self._rate(child),
            meta={"key": child.path, "many": True, "do": do},
        )

    def _add_graft(
        self,
        workflow: Workflow,
        group: Group,
        name: str,
        deps: list[str],
        flags: tuple[bool, bool],
        _depth: int,
        kind: str = "grow",
    ) -> None:
        point = self._group(group, name, "graft", deps, flags)
        do = {**self._do(may_fail=False), "jobs": self.rng.randint(1, 3)}
        self._enter(point, "grafter", kind, do, [], flags, key=point.path)
        grafted = self._group(point, "grafted", "grafted", [], flags)
        grafted.free = True
        before: list[str] = []

        for n in range(do["jobs"]):
            self._enter(grafted, str(n), "Step", {}, before, flags, key=f"{point.path}/{n}")
            before = [str(n)]

        meta = {"key": point.path, "do": do}

        if kind == "grow":
            workflow.add_graft(name, work.grow, deps=deps, meta=meta)
        else:
            workflow.add_graft(name, work.Grafting.new({}, meta=meta), deps=deps)

    _add_grafting = partialmethod(_add_graft, kind="Grafting")

    def _add_mapped(
        self,
        workflow: Workflow,
        group: Group,
        name: str,
        deps: list[str],
        flags: tuple[bool, bool],
        _depth: int,
    ) -> None:
        source = f"{name}s"
        do = {**self._do(may_fail=False), "jobs": self.rng.randint(0, 3)}
        entry = self._enter(group, source, "items", do, deps, flags)
        workflow.add_cascade(source, work.items, deps=deps, meta={"key": entry.key, "do": do})
        point = self._group(group, name, "graft", [source], flags)
        item = self._do(may_fail=False)
        self._enter(point, "grafter", "Mapper", {}, [], flags, key=f"{point.path}/{name}")
        grafted = self._group(point, "grafted", "grafted", [], flags)
        grafted.free = True

        for n in range(do["jobs"]):
            self._enter(grafted, str(n), "gather_item", item, [], flags, key=f"{point.path}/{n}")

        workflow.add_cascade(
            name,
            (from_result(source), work.gather_item),
            deps=source,
            meta={"key": point.path, "many": True, "do": item},
        )

    def _add_sub(
        self,
        workflow: Workflow,
        group: Group,
        name: str,
        deps: list[str],
        flags: tuple[bool, bool],
        depth: int,
    ) -> None:
        own = _flags(self.rng, often=0.1)
        sub = Workflow(ignore_cancelled=own[0], ignore_discarded=own[1])
        child = self._group(group, name, "sub", deps, own)
        _Growing(self.rng, self.root).grow(sub, child, self.rng.randint(1, 4), own, depth + 1)
        workflow.add_workflow(name, sub, deps=deps)
