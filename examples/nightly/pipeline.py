"""Read the sales files of all shops every night, load the totals, and tell what has changed."""

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
    """List the files of this night by name, so that each is a job with a name that people know."""
    return {path.name: path for path in sorted(context["folder"].glob("*.csv"))}


def read(path: Path, context: Context) -> dict[str, int]:
    """Sum up one file: lines of a product and an amount, with whatever else people leave in it.

    Raises:
        OSError: If the share does not answer, which is worth another attempt.
        ValueError: If a line cannot be understood, which is not.
    """
    job = current_job()

    # in place of a network that is down now and then
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
    """Add up what could be read, and name what could not."""
    totals: Counter[str] = Counter()

    for sums in context["read"].values():
        totals.update(sums)

    return {"totals": dict(totals), "unread": sorted(context.failed("read"))}


def load(context: Context) -> dict[str, tuple[int, int]]:
    """Replace the totals of this night in one transaction.

    After a crash, or once a file was mended, it runs again. It compares with the night before,
    never with what it wrote itself.

    Returns:
        The products that sold something else than the night before, with both amounts.
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
    """Whether there is anything to report."""
    return bool(context["load"])


async def report(context: Context) -> str:
    """Write what people get to read in the morning."""
    lines = [
        f"{product}: {now} ({now - before:+})" for product, (before, now) in context["load"].items()
    ]
    unread = context["aggregate"]["unread"]

    return "\n".join([*lines, f"not read: {', '.join(unread)}"] if unread else lines)


def build(folder: Path, database: Path, night: date) -> Workflow:
    """Build the workflow of a night.

    Args:
        folder: Where the files are. All machines that run jobs see it.
        database: The SQLite file to load.
        night: Whose totals are replaced.
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
    """Every night at two on the wall, also in the nights in which the clock changes."""
    return build(Path(FOLDER).absolute(), Path(DATABASE).absolute(), tick.date())
