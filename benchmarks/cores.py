"""Measure how much faster a second process makes a node, and how much faster a bare loop.

Jobs and the bare program run the same loop with the same number of turns. Each figure is a ratio
of rates, measured in one run on one machine: `oban-workflows start` runs the nodes, and the time
is that of one fan-out, from the start of its first job to the end of its last.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from statistics import median
from typing import TYPE_CHECKING

import click
import psycopg
from oban import Oban
from rich.console import Console
from rich.table import Table

import oban_pro.schema
from oban_pro import Workflow
from oban_pro.embedded import server_dsn

from .databases import Databases
from .workers import Spin, spin

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 300
LOOP = "2 ms of Python"
LIMIT = 20
"""Jobs that run at once, in all processes together."""

NODES = "SELECT count(*) FROM oban_producers"
SECONDS = """
SELECT extract(epoch FROM max(completed_at) - min(attempted_at))
FROM oban_jobs
HAVING bool_and(state = 'completed')
"""


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--jobs", type=click.IntRange(2), default=4_000, show_default=True)
@click.option("--processes", type=click.IntRange(2), default=2, show_default=True)
def main(*, rounds: int, jobs: int, processes: int) -> None:
    turns = turns_in(0.002)
    table = Table("jobs", "bare", "nodes", "nodes / bare", "of all rounds")
    console = Console()

    with server_dsn() as dsn, closing(Databases(dsn)) as databases, console.status("") as status:

        def rate(count: int, turns: int) -> float:
            with databases.database(f"bench_cores_{count}") as own, nodes(own, count):
                return jobs / run(own, jobs, turns, count)

        for label, each in ((LOOP, turns), ("nothing", 0)):
            bare: list[float] = []
            ours: list[float] = []

            for number in range(rounds):
                status.update(f"{label}, round {number + 1} of {rounds}")
                # a job that does nothing needs no core; a second process must not slow it down
                bare.append(
                    bare_rate(processes, jobs, each) / bare_rate(1, jobs, each) if each else 1
                )
                ours.append(rate(processes, each) / rate(1, each))

            ratios = sorted(ours[n] / bare[n] for n in range(rounds))
            table.add_row(
                label,
                *(f"{median(found):.2f}" for found in (bare, ours, ratios)),
                " ".join(f"{ratio:.2f}" for ratio in ratios),
            )

    console.print(table)


def turns_in(seconds: float) -> int:
    """Return how many turns of the loop take that long, in the fastest of some tries."""
    tried = 200_000
    fastest = float("inf")

    for _ in range(20):
        started = time.perf_counter()
        spin(tried)
        fastest = min(fastest, time.perf_counter() - started)

    return round(tried * seconds / fastest)


def bare_rate(processes: int, jobs: int, turns: int) -> float:
    """Return how many loops in a second some processes complete that do nothing else."""
    code = (
        "import sys, time\n"
        "from benchmarks.workers import spin\n"
        "print(flush=True); sys.stdin.readline(); started = time.perf_counter()\n"
        f"for _ in range({jobs // processes}): spin({turns})\n"
        "print(time.perf_counter() - started)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]

    for process in started:
        assert process.stdout
        process.stdout.readline()

    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()

    return jobs / max(float(process.communicate()[0]) for process in started)


@contextmanager
def nodes(dsn: str, processes: int) -> Iterator[None]:
    """Run nodes under one parent, and stop them in the end."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(oban_pro.schema.install_sql())
        command = [sys.executable, "-m", "oban_pro", "start", "--dsn", dsn]
        options = ["--processes", str(processes), "--queues", f"default:{LIMIT}"]
        parent = subprocess.Popen([*command, *options, "--log-level", "warning"])

        try:
            _wait(conn, NODES, processes)
            yield
        finally:
            parent.terminate()
            parent.wait(TIMEOUT)


def run(dsn: str, jobs: int, turns: int, processes: int) -> float:
    """Let nodes run a fan-out, and return how many seconds that took."""
    asyncio.run(_enqueue(dsn, jobs, turns))

    with psycopg.connect(dsn, autocommit=True) as conn:
        return _wait(conn, SECONDS, None)


async def _enqueue(dsn: str, jobs: int, turns: int) -> None:
    pool = await Oban.create_pool(dsn)
    workflow = Workflow().add_many("all", [Spin.new({"turns": turns}) for _ in range(jobs)])
    await Oban(pool=pool).enqueue_many(workflow)
    await pool.close()


def _wait(conn: psycopg.Connection, statement: str, expected: float | None) -> float:
    deadline = time.monotonic() + TIMEOUT

    while time.monotonic() < deadline:
        row = conn.execute(statement.encode()).fetchone()

        if row and expected in (None, row[0]):
            return float(row[0])

        time.sleep(0.1)

    raise TimeoutError(f"{statement} must come true within {TIMEOUT} s")


if __name__ == "__main__":
    main()
