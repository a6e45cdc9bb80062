"""Run three nights over 500 made-up files, on a temporary PostgreSQL or on that of OBAN_DSN."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from oban import Oban

from examples.nightly import pipeline
from oban_pro import schema
from oban_pro.embedded import server_dsn

if TYPE_CHECKING:
    from oban_pro import Workflow

FILES = 500
LINES = ("pen, 1", "Pen;2", "ink,3 # by hand", "", "# closed on Sunday", "  paper ; 4 ")
BAD = "shop-007.csv"


def write_files(folder: Path, count: int = FILES) -> None:
    """Write the files of shops: all are untidy, 1 % are bad, and 2 % are on an unreliable share."""
    chosen = random.Random(1)

    for number in range(count):
        lines = chosen.choices(LINES, k=5) + ["pen, many"] * (number % 100 == 7)
        name = f"shop-{number:03}{'-flaky' * (number % 50 == 0)}.csv"
        (folder / name).write_text("\n".join(lines), encoding="utf-8-sig")


async def show(title: str, workflow: Workflow) -> None:
    """Wait until a night has ended, and print its results."""
    status = await workflow.wait()
    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items())
    text = (await workflow.all_recorded()).get("report", "nothing to report")
    print(f"{title} is {status.state}: {counts}", *text.splitlines(), sep="\n  ")


async def run(oban: Oban, folder: Path, database: Path) -> None:
    """Run three nights: the second brings no change, and the third brings a new sale."""
    nights = [pipeline.build(folder, database, date(2026, 11, day)) for day in (26, 27, 28)]
    first, second, third = nights
    await oban.enqueue_many(first)
    await show("The first night", first)

    (folder / BAD).write_text("pen, 12", encoding="utf-8")
    await first.retry_jobs(names=[f"read/{BAD}"], downstream=True)
    await show(f"The first night, with {BAD} mended,", first)

    await oban.enqueue_many(second)
    await show("The second night", second)

    (folder / BAD).write_text("pen, 13", encoding="utf-8")
    await oban.enqueue_many(third)
    await show("The third night", third)

    timings = await third.timings(compare=second.id)

    for path in ("aggregate", "load"):
        before = timings[path].other
        print(f"{path} took {timings[path].ran}, the night before {before and before.ran}")


async def main(dsn: str, count: int) -> None:
    async with await Oban.create_pool(dsn) as pool:
        await schema.install(pool)

        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), count)

            async with Oban(pool=pool, queues={"default": 20}) as oban:
                await run(oban, Path(folder), Path(folder, "sales.db"))


if __name__ == "__main__":
    with server_dsn() as dsn:
        asyncio.run(main(dsn, int(sys.argv[1]) if len(sys.argv) > 1 else FILES))
