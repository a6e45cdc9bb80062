"""Extract the time zone table of this machine, transform it, and load it into SQLite."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from oban_pro import Workflow

type Context = dict[str, Any]


def extract(context: Context) -> dict[str, Any]:
    """Read the UTC offset of every zone from files. A plain ``def`` runs in a thread."""
    at = context["at"]
    zones = sorted(available_timezones() - {"localtime"})

    return {
        "offsets": [(zone, at.astimezone(ZoneInfo(zone)).utcoffset()) for zone in zones],
        "extracted_at": datetime.now(UTC),
    }


async def transform(context: Context) -> dict[str, list[Any]]:
    """Sort zones into regions, and drop the aliases that have none."""
    regions: dict[str, list[tuple[str, timedelta]]] = {}

    for zone, offset in context["extract"]["offsets"]:
        region, _, place = zone.partition("/")

        if place:
            regions.setdefault(region, []).append((place, offset))

    return regions


def load(context: Context) -> int:
    """Write all rows in one transaction. A second run writes the same rows."""
    rows = [
        (f"{region}/{place}", region, offset.total_seconds() / 60)
        for region, places in context["transform"].items()
        for place, offset in places
    ]

    with sqlite3.connect(context["path"]) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS zones (name PRIMARY KEY, region, minutes)")
        conn.executemany("INSERT OR REPLACE INTO zones VALUES (?, ?, ?)", rows)

    conn.close()

    return len(rows)


async def report(context: Context) -> dict[str, Any]:
    """Report the loaded rows, from the results of two direct dependencies."""
    sizes = Counter({region: len(places) for region, places in context["transform"].items()})

    return {"loaded": context["load"], "largest": sizes.most_common(3)}


def build(path: str, at: datetime | None = None) -> Workflow:
    """Build the pipeline.

    Args:
        path: The SQLite file to write.
        at: The moment whose UTC offsets are loaded; now by default.
    """
    return (
        Workflow(name="time-zones")
        .add_context({"path": path, "at": at or datetime.now(UTC)})
        .add_cascade("extract", extract)
        .add_cascade("transform", transform, deps="extract")
        .add_cascade("load", load, deps="transform")
        .add_cascade("report", report, deps=["transform", "load"])
    )
