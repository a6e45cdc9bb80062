"""Run the code of one page as a program, with the database of OBAN_DSN.

Run it as ``python -m tests.support.page PAGE``.

All ``python`` blocks of a page are one program, in their order. If a block awaits outside of a
function, the program runs inside an event loop, and `oban` is a node that runs the queue
``default``.
"""

import ast
import asyncio
import inspect
import os
import re
import sys
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from oban import Oban

from tests.support.paths import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
    if "_build" not in path.parts
)

BLOCK = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


class Block(NamedTuple):
    """The text between two fences. ``line`` is the number of its first line, counted from 0."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")

    return [
        Block(match[1], match[2], text.count("\n", 0, match.start(2)))
        for match in BLOCK.finditer(text)
    ]


def python_of(page: Path) -> str:
    """Replace text by empty lines, so that tracebacks show line numbers of the page."""
    program = ""

    for block in blocks(page):
        if block.language == "python":
            program += "\n" * (block.line - program.count("\n")) + block.text

    return program


async def _run_with_node(code: CodeType) -> None:
    pool = await Oban.create_pool(os.environ["OBAN_DSN"])

    async with pool, Oban(pool=pool, queues={"default": 10}, stager={"interval": 0.1}) as oban:
        # Functions of the page are stored by the path of __main__, so they must be in it.
        globals()["oban"] = oban
        await eval(code, globals())


def run(path: str) -> None:
    code = compile(python_of(Path(path)), path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(_run_with_node(code))
    else:
        exec(code, globals())


if __name__ == "__main__":
    run(sys.argv[1])
