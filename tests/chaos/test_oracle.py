"""The judge of a run: it says nothing of what may be, and names what must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.chaos.node import FAIR, MOST, NARROW
from tests.chaos.oracle import BOUND, Execution, Oracle, Row
from tests.chaos.record import Entry, Record, Root
from tests.support.model import Group, Job


def root_of(id: str = "w1", **options: Any) -> Root:
    return Root(id, Group(id, None, [], (False, False), "workflow"), {}, "committed", **options)


def add(root: Root, name: str, kind: str = "Step", **options: Any) -> Entry:
    key = f"{root.id}/{name}"
    deps = [root.group.children[dep] for dep in options.pop("deps", [])]
    job = Job(key, root.group, deps, options.pop("ignores", (False, False)))
    root.group.children[name] = job
    root.entries[key] = Entry(key, kind, {}, job, committed_at=0.0, **options)

    return root.entries[key]


def run(entry: Entry, began: float, ended: float) -> Execution:
    return Execution(f"{entry.key} {began}", 1, entry.key, 1, 1, None, began, ended, "ok")


def judge(runs: list[Execution], *roots: Root, **states: str) -> list[str]:
    record = Record(roots={root.id: root for root in roots})
    rows = [
        Row(n, states.get(entry.key.partition("/")[2], "completed"), 1, 20, 1, {"key": entry.key})
        for n, (_, entry) in enumerate(record.entries())
    ]

    return Oracle(record, runs, rows, {}, {}, []).judge()


class TestOracle:
    def test_lets_a_mapper_fail_that_has_nothing_to_map(self) -> None:
        root = root_of()
        add(root, "a")
        add(root, "items", "items", deps=["a"])
        add(root, "map", "Mapper", deps=["items"], ignores=(True, False))
        add(root, "last", deps=["map"])

        # a is given up with its last attempt
        root.entries["w1/a"].do["fail"] = 20
        states = {"a": "discarded", "items": "cancelled", "map": "discarded", "last": "cancelled"}
        assert judge([], root, **states) == []

    def test_lets_no_other_mapper_fail(self) -> None:
        root = root_of()
        add(root, "items", "items")
        add(root, "map", "Mapper", deps=["items"])
        assert "w1/map is discarded" in str(judge([], root, map="discarded"))

    def test_names_a_queue_that_runs_too_many(self) -> None:
        root = root_of()
        entries = [add(root, f"j{n}", queue=NARROW) for n in range(MOST[NARROW] + 1)]
        runs = [run(entry, 1, 2) for entry in entries]
        assert f"{NARROW} 0 ran more than {MOST[NARROW]} at once" in str(judge(runs, root))
        assert judge([*runs[1:], run(entries[0], 2, 3)], root) == []

    def test_names_a_customer_who_has_too_many(self) -> None:
        root = root_of()
        entries = [add(root, f"j{n}", queue=FAIR, customer=n // 2) for n in range(4)]
        others = [run(entries[0], 1, 2), run(entries[2], 1, 2), run(entries[1], 2, 3)]
        assert judge([*others, run(entries[3], 2, 3)], root) == []
        assert f"{FAIR} 1 ran more than 1" in str(judge([*others, run(entries[3], 1.5, 3)], root))

    def test_lets_what_is_grafted_anew_start_beside_what_was_removed(self) -> None:
        root = root_of()
        entry = add(root, "a")
        root.steer(1.5)
        first, second = run(entry, 1, 3), run(entry, 2, 4)
        assert "ran twice at once" in str(judge([first, second], root))
        assert judge([first, replace(second, job=2)], root) == []

    def test_names_a_place_that_stays_free(self) -> None:
        root = root_of()
        first, second = (add(root, name, queue=NARROW) for name in "ab")
        late = BOUND + 2
        assert judge([run(first, 1, late), run(second, 1, 2)], root) == []
        wrong = judge([run(first, 1, late), run(second, late, late + 1)], root)
        assert "had a free place" in str(wrong)

    def test_names_two_that_run_under_one_key(self) -> None:
        one, two = root_of("u1", unique="k"), root_of("u2", unique="k")
        first, second = add(one, "a"), add(two, "a")
        assert judge([run(first, 1, 3), run(second, 3, 4)], one, two) == []
        assert "one key" in str(judge([run(first, 1, 3), run(second, 2, 4)], one, two))

    def test_names_what_starts_under_a_pause(self) -> None:
        root = root_of()
        entry = add(root, "a")
        record = Record(roots={root.id: root}, moves=[])
        record.paused["w1"].append((1.0, 9.0))
        row = Row(1, "completed", 1, 20, 0, {"key": entry.key})

        def wrong(began: float) -> str:
            return str(Oracle(record, [run(entry, began, 9.5)], [row], {}, {}, []).judge())

        assert "was paused" in wrong(5.0)
        assert "was paused" not in wrong(1.5)
        assert "was paused" not in wrong(9.1)

    def test_names_a_fan_out_that_starts_too_fast(self) -> None:
        root = root_of()
        root.rates[root.id] = (1, 2.0)
        entries = [add(root, f"j{n}") for n in range(4)]
        slow = [run(entry, 1 + 2 * n, 2 + 2 * n) for n, entry in enumerate(entries)]
        assert judge(slow, root) == []
        assert "started 3 by 1" in str(judge([run(entry, 1, 2) for entry in entries], root))
