"""The examples of workflows that grow do what their README says."""

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from examples.growing import duplicates, pages
from oban_pro import Workflow
from tests.conftest import StartOban
from tests.graphs import settled

ROOT = Path(__file__).parents[2]

type Run = Callable[[Workflow], Awaitable[dict[str, Any]]]


@pytest.fixture
async def run(start_oban: StartOban, wait_until: Callable[..., Awaitable[Any]]) -> Run:
    oban = await start_oban()

    async def run(workflow: Workflow) -> dict[str, Any]:
        await oban.enqueue_many(workflow)
        await wait_until(lambda: settled(workflow), timeout=30)
        assert (await workflow.status()).state == "completed"
        return await workflow.all_recorded()

    return run


class TestDuplicates:
    async def test_finds_files_of_equal_content(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        contents = {"a": "same", "sub/b": "same", "c": "else", "d": "longer than all"}
        for name, content in contents.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        results = await run(duplicates.build(str(tmp_path)))

        assert results["report"] == [[str(tmp_path / "a"), str(tmp_path / "sub/b")]]
        assert len(results["measure"]) == 4
        assert len(results["compare"]["digest"]) == 3

    async def test_reads_nothing_where_no_two_are_of_a_size(self, run: Run, tmp_path: Path) -> None:
        for size in range(3):
            (tmp_path / str(size)).write_text("x" * size, encoding="utf-8")
        results = await run(duplicates.build(str(tmp_path)))

        assert (results["compare"], results["report"]) == ({}, [])

    async def test_of_an_empty_folder_are_none(self, run: Run, tmp_path: Path) -> None:
        results = await run(duplicates.build(str(tmp_path)))

        assert (results["measure"], results["report"]) == ({}, [])


class TestPages:
    @pytest.mark.parametrize("size", [40, 1_000])
    async def test_are_imported_to_the_last(self, run: Run, size: int) -> None:
        results = await run(pages.build(size))
        modules = len(sys.stdlib_module_names)

        assert results["total"] == {"pages": -(-modules // size), "modules": modules}


class TestProgram:
    def test_prints_what_it_found(self, empty_dsn: str, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).write_text("same", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "examples.growing", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "OBAN_DSN": empty_dsn},
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        first, second, third = done.stdout.splitlines()
        assert first == f"2 files in {tmp_path}, 1 of them more than once"
        assert second == f"  {tmp_path / 'a'} = {tmp_path / 'b'}"
        assert third.startswith(f"{len(sys.stdlib_module_names)} modules from ")
