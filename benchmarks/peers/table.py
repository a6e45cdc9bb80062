"""Writes the measured figures as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from rich.table import Column, Table

from benchmarks import report

from . import OURS, Peer
from .measuring import Found, ratios

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .work import Work

type Measured = Mapping[tuple[Peer, Work], list[Found]]


def table(measured: Measured) -> Table:
    """Write the ratios, a row for each system and a column for each work."""
    peers = list(dict.fromkeys(peer for peer, _ in measured))
    works = list(dict.fromkeys(work for _, work in measured))
    drawn = Table(
        "time per job",
        *(Column(work.label, justify="right") for work in works),
        title="times of oban-workflows: median, smallest and largest of all rounds",
    )

    drawn.add_row(
        f"{OURS.name}, ms", *(_milliseconds(work, measured[OURS, work]) for work in works)
    )

    for peer in peers:
        if peer != OURS:
            drawn.add_row(peer.name, *(_cell(_ratios(measured, peer, work)) for work in works))

    return drawn


def _ratios(measured: Measured, peer: Peer, work: Work) -> list[float] | str:
    return ratios(measured[OURS, work], measured[peer, work])


def _milliseconds(work: Work, outcomes: list[Found]) -> str:
    seconds = _median(outcomes)

    return str(outcomes[0]) if seconds is None else f"{1000 * seconds / work.jobs:.2f}"


def _cell(found: list[float] | str) -> str:
    if isinstance(found, str):
        return found

    return f"{median(found):.1f} ({found[0]:.1f} to {found[-1]:.1f})"


def _summary(found: list[float] | str) -> dict[str, Found | list[float]]:
    if isinstance(found, str):
        return {"ratio": found}

    return {"ratio": median(found), "ratios": found}


def write(path: Path, dsn: str, limit: float, measured: Measured) -> None:
    """Write the ratios, the seconds behind them, and the machine and versions."""
    packages = dict.fromkeys(name for peer, _ in measured for name in peer.packages)
    content = {
        "machine": report.machine(dsn, list(packages)),
        "commit": report.commit(),
        "limit": limit,
        "measured": [
            {
                "peer": peer.name,
                **asdict(work),
                "jobs": work.jobs,
                **_summary(_ratios(measured, peer, work)),
                "seconds": _median(outcomes),
                "rounds": len(outcomes),
            }
            for (peer, work), outcomes in measured.items()
        ],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _median(outcomes: list[Found]) -> float | None:
    seconds = [outcome for outcome in outcomes if not isinstance(outcome, str)]

    return median(seconds) if seconds else None
