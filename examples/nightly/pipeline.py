"""Read the sales files of all shops every night, load the totals, and report changes."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oban import current_job

from oban_pro import Workflow, from_result
from oban_pro.schedules import schedule

if TYPE_CHECKING:
    from datetime import date, datetime

    from oban_pro import Context

FOLDER = os.environ.get("NIGHTLY_FOLDER", "sales")
DATABASE = os.environ.get("NIGHTLY_DATABASE", "sales.db")


def find(context: Context) -> dict[str, Path]:
    """List the files of this night by name. The names become the names of the jobs."""
    return {path.name: path for path in sorted(context["folder"].glob("*.csv"))}


def read(path: Path, context: Context) -> dict[str, int]:
    """Sum up one file. Its lines have a product and an amount, and people write them untidily.

    Raises:
        OSError: If the share does not answer. Another attempt may succeed.
        ValueError: If a line cannot be understood. Another attempt would fail too.
    """
    job = current_job()

    # stands for a network that sometimes fails
    if path.stem.endswith("-flaky") and job and job.attempt == 1:
        raise OSError(f"{path.name}: the share does not answer")

    sums: Counter[str] = Counter()

    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        text = line.partition("#")[0].replace(";", ",").strip()

        if not text:
            continue

        product, _, amount = text.partition(",")

        try:
            sums[product.strip().lower()] += int(amount)
        except ValueError:
            raise ValueError(f"{path.name}, line {number}: no amount in {line!r}") from None

    return dict(sums)


async def aggregate(context: Context) -> dict[str, Any]:
    """Add up the files that could be read, and name the others."""
    totals: Counter[str] = Counter()

    for sums in context["read"].values():
        totals.update(sums)

    return {"totals": dict(totals), "unread": sorted(context.failed("read"))}


def load(context: Context) -> dict[str, tuple[int, int]]:
    """Replace the totals of this night in one transaction.

    It runs again after a crash, or when a file was corrected. So it compares with the night before,
    and never with its own earlier run.

    Returns:
        The products whose amount differs from the night before, with both amounts.
    """
    night = context["night"].isoformat()
    totals = context["aggregate"]["totals"]

    with closing(sqlite3.connect(context["database"])) as conn, conn:
        conn.execute("CREATE TABLE IF NOT EXISTS totals (night, product, amount)")
        conn.execute("DELETE FROM totals WHERE night = ?", [night])
        conn.executemany(
            "INSERT INTO totals VALUES (?, ?, ?)",
            [(night, product, amount) for product, amount in totals.items()],
        )
        before = dict(
            conn.execute(
                "SELECT product, amount FROM totals"
                " WHERE night = (SELECT max(night) FROM totals WHERE night < ?)",
                [night],
            )
        )

    return {
        product: (before.get(product, 0), totals.get(product, 0))
        for product in sorted(before | totals)
        if before.get(product, 0) != totals.get(product, 0)
    }


def has_changed(context: Context) -> bool:
    """Return whether there is anything to report."""
    return bool(context["load"])


async def report(context: Context) -> str:
    """Write the report that people read in the morning."""
    lines = [
        f"{product}: {now} ({now - before:+})" for product, (before, now) in context["load"].items()
    ]
    unread = context["aggregate"]["unread"]

    return "\n".join([*lines, f"not read: {', '.join(unread)}"] if unread else lines)


def build(folder: Path, database: Path, night: date) -> Workflow:
    """Build the workflow of a night.

    Args:
        folder: The folder of the files. All machines that run jobs need it.
        database: The SQLite file to load.
        night: The night whose totals are replaced.
    """
    return (
        Workflow(name="nightly", unique=True, on_conflict="queue")
        .add_context({"folder": folder, "database": database, "night": night})
        .add_cascade("find", find)
        .add_cascade(
            "read",
            (from_result("find"), read),
            deps="find",
            max_attempts=5,
            backoff=1,
            give_up_on=ValueError,
            tolerate=0.05,
            fail_fast=True,
        )
        .add_cascade("aggregate", aggregate, deps="read")
        .add_cascade("load", load, deps="aggregate")
        .add_cascade("report", report, deps=["aggregate", "load"], when=has_changed)
    )


@schedule("0 2 * * *", name="nightly", timezone="Europe/Kyiv")
def nightly(tick: datetime) -> Workflow:
    """Build the workflow of each night at two o'clock local time, also when the clock changes."""
    return build(Path(FOLDER).absolute(), Path(DATABASE).absolute(), tick.date())
