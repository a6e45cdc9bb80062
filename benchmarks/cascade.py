"""Compare cascades with bare worker jobs in the same workflow, per job.

One job, many that depend on it, and one that depends on them all: as workers that do nothing, and
as functions that do nothing but receive what came before, and record what they return.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from oban_pro.embedded import server_dsn

from . import ratios, report
from .databases import Databases
from .ratios import Ratio
from .run import Result, Run


def compare(scale: int = 1) -> list[Ratio]:
    """List what is compared.

    Args:
        scale: Divides all sizes.
    """
    many = 10_000 // scale + 2
    few = 200 // scale * 12
    bare = Run("workflows", "fan_out", many)
    bare_few = Run("workflows", "fan_outs_of_ten", few)

    return [
        Ratio("10 items / workers", Run("workflows", "cascades_of_ten", few), bare_few),
        Ratio(f"{many - 2:,} items / workers", Run("workflows", "cascades", many), bare),
        Ratio(
            f"{many - 2:,} items in threads / workers",
            Run("workflows", "cascades_in_threads", many),
            bare,
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
            status.update(f"{run.shape} of {run.size:,} jobs, {table} table")

            return databases.measure(run, table)

        found = ratios.measure(compared, rounds or (1 if quick else 3), measure)

        if output:
            report.write(output, dsn, compared, found)

    console.print(report.table(compared, found))


if __name__ == "__main__":
    main()
