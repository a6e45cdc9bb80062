"""Compare workflows with plain oban and with the least that PostgreSQL has to do.

Everything is a ratio of times per job, measured in one go on one machine: workers that do nothing,
one process, 50 jobs at once, inserting included, each run in a process and a database of its own.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from oban_pro.embedded import server_dsn

from . import ratios, report
from .databases import Databases
from .ratios import EVERY_TABLE, Ratio
from .run import Result, Run


def compare(scale: int = 1) -> list[Ratio]:
    """List what is compared.

    Args:
        scale: Divides all sizes.
    """
    small, fan, big = 1_000 // scale, 10_000 // scale, 100_000 // scale
    hops, diamonds = 200 // scale, 500 // scale
    spread = Run("workflows", "fan_out", fan + 2)
    singly = Run("workflows", "fan_out_singly", fan + 2)
    plain = Run("oban", "independent", fan + 2)
    floor = Run("floor", "independent", fan + 2)
    ours = Run("workflows", "independent", fan + 2)
    steps = Run("workflows", "chain", hops)
    crowd = Run("workflows", "diamonds", diamonds * 4)

    return [
        Ratio(f"1 → {fan:,} → 1 / oban, {fan + 2:,} jobs", spread, plain, 0.5, tables=EVERY_TABLE),
        Ratio(f"the same, added one by one / oban, {fan + 2:,} jobs", singly, plain, 0.5),
        Ratio(f"1 → {fan:,} → 1 / floor", spread, floor),
        Ratio("the same, inserting only / floor", spread, floor, phase="inserted"),
        Ratio(
            f"1 → {big:,} → 1 / 1 → {small:,} → 1",
            Run("workflows", "fan_out", big + 2),
            Run("workflows", "fan_out", small + 2),
            1.3,
        ),
        Ratio(f"{fan + 2:,} plain jobs / without this package", ours, plain, 1.0),
        Ratio(f"chain of {hops} / oban, each enqueues the next", steps, Run("oban", "hops", hops)),
        Ratio(f"chain of {hops} / floor", steps, Run("floor", "hops", hops)),
        Ratio(
            f"{diamonds} diamonds / oban, {crowd.size:,} jobs",
            crowd,
            Run("oban", "independent", crowd.size),
        ),
    ]


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Sizes of a tenth, one round: sees that it works.")
@click.option("--rounds", type=click.IntRange(1), help="How often each run is measured.")
@click.option("--output", type=click.Path(path_type=Path), help="Write JSON to this file.")
def main(quick: bool, rounds: int | None, output: Path | None) -> None:
    compared = compare(10 if quick else 1)
    console = Console()
    console.width = max(console.width, 110)

    with server_dsn() as dsn, closing(Databases(dsn)) as databases, console.status("") as status:

        def measure(run: Run, table: str) -> Result:
            status.update(f"{run.system}: {run.shape} of {run.size:,} jobs, {table} table")

            return databases.measure(run, table)

        found = ratios.measure(compared, rounds or (1 if quick else 3), measure)

        if output:
            report.write(output, dsn, compared, found)

    console.print(report.table(compared, found))


if __name__ == "__main__":
    main()
