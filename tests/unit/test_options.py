"""Every option of every method that adds something: it works, or an error names both."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from oban import Job

from oban_pro import Workflow
from oban_pro.building.call_options import CallOptions
from oban_pro.errors import WorkflowError
from tests.support.wired import (
    doubled,
    from_context,
    multiply,
    never,
    same,
    sum_up,
    undo_call,
    undo_of_each,
)

OPTIONS: dict[str, Any] = {
    "backoff": 60,
    "batch": 2,
    "choices": ["yes"],
    "count": 2,
    "deadline": 60,
    "default": "yes",
    "delay": 60,
    "deps": [],
    "fail_fast": True,
    "give_up_on": ValueError,
    "ignore_cancelled": True,
    "ignore_discarded": True,
    "lazy": True,
    "limit": 3,
    "max_attempts": 3,
    "meta": {"team": "a"},
    "name": "it",
    "need": 1,
    "on": "failed",
    "on_timeout": "discard",
    "priority": 1,
    "queue": "other",
    "rate": (10, 60),
    "scheduled_at": datetime(2040, 1, 1, tzinfo=UTC),
    "scheduled_in": 60,
    "tags": ["x"],
    "timeout": 60,
    "tolerate": 1,
    "undo": undo_call,
    "wait_for": 60,
    "when": never,
}


def graft(context: dict[str, Any]) -> None: ...


def graft_each(item: Any, context: dict[str, Any]) -> None: ...


def from_item(item: Any, context: dict[str, Any]) -> None: ...


def end(context: dict[str, Any], outcome: Any) -> None: ...


job = Job("worker")

METHODS: dict[str, Callable[..., Any]] = {
    "add": lambda w, **o: w.add("it", job, **o),
    "add_cascade": lambda w, **o: w.add_cascade("it", from_context, **o),
    "add_cascade over items": lambda w, **o: w.add_cascade("it", ([1], from_item), **o),
    "add_final": lambda w, **o: w.add_final("it", end, **o),
    "add_final of a job": lambda w, **o: w.add_final("it", job, **o),
    "add_graft": lambda w, **o: w.add_graft("it", graft, **o),
    "add_graft of a job": lambda w, **o: w.add_graft("it", job, **o),
    "add_graft over items": lambda w, **o: w.add_graft("it", ([1], graft_each), **o),
    "add_many": lambda w, **o: w.add_many("it", [job], **o),
    "add_signal": lambda w, **o: w.add_signal("it", **o),
    "add_timer": lambda w, **o: w.add_timer("it", 60, **o),
    "add_workflow": lambda w, **o: w.add_workflow("it", Workflow().add("one", job), **o),
    "call": lambda w, **o: w.options(**{"name": "it", **o}).call(same, 1),
    "each": lambda w, **o: w.options(**{"name": "it", **o}).each(
        multiply if "batch" in o else doubled, [1]
    ),
    "each over results": lambda w, **o: w.options(**{"name": "it", **o}).each(
        multiply if "batch" in o else doubled, w.each(same, [1])
    ),
    "final": lambda w, **o: w.options(**{"name": "it", **o}).final(sum_up),
}

IMPLIED: dict[str, dict[str, Any]] = {
    "need": {"deps": ["first"]},
    "default": {"on_timeout": "complete", "wait_for": 60},
}
"""What an option goes with, where the method takes it."""


def add(method: str, option: str) -> None:
    """Add something with an option, and plan the workflow."""
    workflow = Workflow().add("first", job)
    value = undo_of_each if option == "undo" and "each" in method else OPTIONS[option]
    value = undo_of_each if option == "undo" and "items" in method else value
    value = Job("undo") if (method, option) == ("add", "undo") else value
    implied: dict[str, Any] = (
        IMPLIED.get(option, {}) if method not in ("add_final", "final") else {}
    )
    METHODS[method](workflow, **{option: value, **implied})
    assert len([*workflow]) >= 2


PAIRS = [
    (method, option)
    for method in METHODS
    for option in OPTIONS
    # what names the member, and what a timer is
    if not (method.startswith("add") and option == "name")
    and (method, option) != ("add_timer", "delay")
]


def names_of(method: str) -> list[str]:
    """Return what an error may call a method that adds something."""
    if method.startswith("add"):
        return [f"nown to {method.split(maxsplit=1)[0]}():", "of 'it'"]

    return ["of 'it'", "'it' must", "a call", "a final job", "alone, and have no"]


class TestOptions:
    def test_are_all_tried_on_every_method(self) -> None:
        assert CallOptions.__annotations__.keys() <= OPTIONS.keys()

    @pytest.mark.parametrize(("method", "option"), PAIRS)
    def test_work_or_are_refused_by_name(self, method: str, option: str) -> None:
        refusal: Exception | None = None

        try:
            add(method, option)
        except (WorkflowError, AttributeError) as error:
            refusal = error

        told = str(refusal)
        assert refusal is None or (
            option in told and any(name in told for name in names_of(method))
        )
