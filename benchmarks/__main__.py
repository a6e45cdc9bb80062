"""Compare workflows with plain oban, and with the least work that PostgreSQL has to do.

Each figure is a ratio of times per job, measured in one run on one machine. Workers do nothing,
50 jobs run at once in one process, and the time includes inserting. Each run has its own process
and its own database.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from oban_pro.embedded import server_dsn
from tests.support.stored import BIG, HUGE, SMALL

from . import ratios, report
from .comparisons import compare
from .databases import Databases
from .measurement import Result, Run


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Sizes of a tenth, one round: sees that it works.")
@click.option("--million", is_flag=True, help="Run a million jobs as well, which takes minutes.")
@click.option("--huge", is_flag=True, help="Store ten million jobs, a million workflows.")
@click.option("--rounds", type=click.IntRange(1), help="How often each run is measured.")
@click.option("--only", default="", help="Compare only what has this in its label.")
@click.option("--output", type=click.Path(path_type=Path), help="Write JSON to this file.")
def main(
    *, quick: bool, million: bool, huge: bool, rounds: int | None, only: str, output: Path | None
) -> None:
    compared = [
        ratio for ratio in compare(10 if quick else 1, million=million) if only in ratio.label
    ]
    console = Console()
    console.width = max(console.width, 120)
    stored = HUGE if huge else SMALL if quick else BIG

    with (
        server_dsn() as dsn,
        closing(Databases(dsn, stored)) as databases,
        console.status("") as status,
    ):

        def measure(run: Run, table: str) -> Result:
            status.update(f"{run.system}: {run.shape} of {run.size:,}, {table} table")

            return databases.measure(run, table)

        found = ratios.measure(compared, rounds or (1 if quick else 3), measure)

        if output:
            report.write(output, dsn, compared, found)

    console.print(report.table(compared, found))
    console.print(report.costs(found))


if __name__ == "__main__":
    main()
