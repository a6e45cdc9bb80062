"""Run the code of one page as a program: ``python page.py PAGE``, with the database of OBAN_DSN.

All ``python`` blocks of a page are one program, in their order. Where one awaits outside of a
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

from oban import Oban

FENCE = re.compile(r"^```(.*)$")


def python_of(text: str) -> str:
    """Blank everything but the code, so that a traceback shows the line of the page."""
    info: str | None = None
    lines = []

    for line in text.splitlines():
        fence = FENCE.match(line)
        lines.append(line if info == "python" and not fence else "")

        if fence:
            info = fence[1] if info is None else None

    return "\n".join(lines) + "\n"


async def _run_with_node(code: CodeType) -> None:
    pool = await Oban.create_pool(os.environ["OBAN_DSN"])

    async with pool, Oban(pool=pool, queues={"default": 10}, stager={"interval": 0.1}) as oban:
        # The very namespace of __main__: functions of the page are stored by that path.
        globals()["oban"] = oban
        await eval(code, globals())


def run(path: str) -> None:
    source = python_of(Path(path).read_text("utf-8"))
    code = compile(source, path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(_run_with_node(code))
    else:
        exec(code, globals())


if __name__ == "__main__":
    run(sys.argv[1])
