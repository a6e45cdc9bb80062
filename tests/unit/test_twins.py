"""The blocking twins follow the asynchronous methods by themselves."""

import ast
import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oban_pro import Workflow, blocking, sync
from oban_pro.handles.handle import Handle
from oban_pro.sync.twinning import asynchronous_methods, with_twins
from tests.support.paths import PACKAGE
from tests.support.stubs import STUB, make_stub

ON_A_LOOP = {"handles/awaiting.py": "waits inside a job, on the loop of its node"}
"""Modules of handles that may wait for an event loop, and why no blocking call gets there."""

SUSPENDING = {"sleep", "timeout", "wait_for", "wait", "gather", "to_thread", "create_task"}
"""What of asyncio suspends; `oban_pro.blocking` has what does not."""


def parameters(function: object) -> list[tuple[str, object, object]]:
    signature = inspect.signature(function)  # type: ignore[arg-type]

    return [(one.name, one.kind, one.default) for one in signature.parameters.values()]


class TestTwins:
    def test_every_method_of_a_handle_has_one(self) -> None:
        for cls, twin in ((Handle, sync.Handle), (Workflow, sync.Workflow)):
            methods = dict(asynchronous_methods(cls))
            assert {"status", "wait", "append", "signal"} <= methods.keys()

            for name in methods:
                blocking_method = getattr(twin, name)
                own = getattr(blocking_method, "__func__", blocking_method)
                assert not inspect.iscoroutinefunction(own)
                assert not inspect.isasyncgenfunction(own)
                assert parameters(blocking_method) == parameters(getattr(cls, name))
                assert "await " not in (blocking_method.__doc__ or "")

    def test_a_method_that_is_added_gets_one(self) -> None:
        class Grown(Handle):
            id = "grown"

            async def double(self, number: int = 1, *, timeout: float | None = None) -> int:  # noqa: ASYNC109
                return number * 2

            async def each(self) -> AsyncIterator[int]:
                for number in range(3):
                    await blocking.sleep(0)
                    yield number

            def also(self) -> AsyncIterator[int]:
                return self.each()

            @classmethod
            async def made(cls) -> str:
                return cls.__name__

            def plain(self) -> str:
                return self.id

        twin = with_twins(type("Twin", (Grown,), {"_oban": "Oban"}))()
        assert twin.double(2) == 4
        assert [*twin.each()] == [0, 1, 2]
        assert [*twin.also()] == [0, 1, 2]
        assert twin.made() == "Twin"
        assert twin.plain() == "grown"

    def test_the_stub_says_so(self) -> None:
        pytest.importorskip("ruff", reason="the stub is formatted by ruff")
        assert STUB.read_text() == make_stub(), "run `make fix`"

    @pytest.mark.parametrize(
        "module", sorted({*PACKAGE.glob("handles/*.py")}), ids=lambda path: path.stem
    )
    def test_no_method_of_a_handle_waits_for_a_loop(self, module: Path) -> None:
        if module.relative_to(PACKAGE).as_posix() in ON_A_LOOP:
            return

        used = {
            node.attr
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "asyncio"
        }
        assert not used & SUSPENDING, "use oban_pro.blocking, or the blocking twin does not work"


class TestBlocking:
    def test_what_suspends_is_refused(self) -> None:
        class Suspending:
            def __await__(self):
                yield

        async def suspend() -> None:
            await Suspending()

        with pytest.raises(RuntimeError, match="must not wait for an event loop"):
            blocking.run(suspend())

    def test_errors_and_results_pass(self) -> None:
        async def fail() -> None:
            raise ZeroDivisionError

        async def succeed() -> bool:
            return blocking.is_blocking()

        with pytest.raises(ZeroDivisionError):
            blocking.run(fail())

        assert blocking.run(succeed()) is True
        assert not blocking.is_blocking()

    def test_a_limit_ends_a_pause(self) -> None:
        async def pause() -> None:
            async with blocking.timeout(60), blocking.timeout(0.01), blocking.timeout(None):
                await blocking.sleep(60)

        with pytest.raises(TimeoutError):
            blocking.run(pause())

        assert blocking.seconds_left() == float("inf")

    def test_an_iteration_that_is_left_is_ended(self) -> None:
        ended = []

        async def count() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                ended.append(True)

        for number in blocking.iterate(count()):
            assert number == 1
            break

        assert ended == [True]
