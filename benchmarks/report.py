"""Writes the measured figures as tables and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any

import psycopg
from rich.table import Column, Table

from .ratios import EVERY_TABLE, Ratio, Round, medians

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .measurement import Run

PACKAGES = ("oban", "oban-workflows", "psycopg", "psycopg-pool", "uvloop")


def table(ratios: Sequence[Ratio], rounds: Sequence[Round]) -> Table:
    """Write the ratios, each as a row with a column for each state of the tables."""
    drawn = Table(
        Column("time per job", no_wrap=True),
        *(Column(name, justify="right") for name in EVERY_TABLE),
        Column("goal", justify="right"),
        title=f"ratios by the state of the tables, medians of {len(rounds)} rounds",
    )

    for ratio in ratios:
        found = medians(ratio, rounds)
        cells = [_cell(found.get(name), ratio.goal) for name in EVERY_TABLE]
        drawn.add_row(ratio.label, *cells, "" if ratio.goal is None else f"≤ {ratio.goal:.3g}")

    return drawn


def costs(rounds: Sequence[Round]) -> Table:
    """Write the costs of each run, except time, for each of its jobs."""
    names = list(
        dict.fromkeys(name for one in rounds[0].results.values() for name in one.costs or ())
    )
    drawn = Table(
        Column("for each job", no_wrap=True),
        Column("table"),
        *(Column("MB in all" if name == "MB" else name, justify="right") for name in names),
        title="what the server counts, and the memory of the process that runs the jobs",
    )

    for (run, state), result in rounds[0].results.items():
        if result.costs:
            cells = [f"{_median_cost(rounds, run, state, name):,.1f}" for name in names]
            drawn.add_row(f"{run.system}: {run.shape} of {run.size:,}", state, *cells)

    return drawn


def _median_cost(rounds: Sequence[Round], run: Run, state: str, name: str) -> float:
    return median((one.results[run, state].costs or {})[name] for one in rounds)


def _cell(value: float | None, goal: float | None) -> str:
    if value is None:
        return ""

    color = "" if goal is None else "[green]" if value <= goal else "[red]"

    return f"{color}{value:.2f}"


def write(path: Path, dsn: str, ratios: Sequence[Ratio], rounds: Sequence[Round]) -> None:
    """Write the ratios, the seconds behind them, and the machine and versions."""
    report = {
        "machine": machine(dsn),
        "commit": commit(),
        "rounds": len(rounds),
        "ratios": [
            {"label": ratio.label, "goal": ratio.goal, **medians(ratio, rounds)} for ratio in ratios
        ],
        "seconds": [
            {
                "system": run.system,
                "shape": run.shape,
                "size": run.size,
                "limit": run.limit,
                "table": state,
                "built": median(one.results[run, state].built for one in rounds),
                "inserted": median(one.results[run, state].inserted for one in rounds),
                "settled": median(one.results[run, state].settled for one in rounds),
                "nodes": run.nodes,
                "per_job": {
                    name: _median_cost(rounds, run, state, name)
                    for name in rounds[0].results[run, state].costs or ()
                },
            }
            for run, state in rounds[0].results
        ],
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


def machine(dsn: str, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Describe the machine, the server and the versions."""
    with psycopg.connect(dsn) as conn:
        server = conn.info.parameter_status("server_version")
        settings: dict[str, str] = dict(
            conn.execute(
                "SELECT name, setting FROM pg_settings WHERE name IN"
                " ('fsync', 'synchronous_commit', 'shared_buffers', 'jit')"
            ).fetchall()
        )

    return {
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "postgresql": server,
        "settings": settings,
        "packages": {name: _version(name) for name in packages},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except ModuleNotFoundError:
        return None


def commit() -> str | None:
    """Return the commit that is measured, or None outside of a repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], check=False, capture_output=True, text=True
    )

    return done.stdout.strip() or None
