"""Compare workflows with other systems that do the same work and pass results on.

Each figure is a ratio of times, measured in one run on one machine. Jobs add numbers, one worker
process runs 50 jobs at once, and the time runs from submitting until the last job has settled with
the right sum.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from oban_pro.embedded import server_dsn

from . import OURS, PEERS, Peer, services
from .measuring import Bench, Found, measure, wait_until_quiet
from .table import table, write
from .work import Work


def works(scale: int = 1) -> list[Work]:
    """List the work that each system does.

    Args:
        scale: Divides all sizes.
    """
    return [
        Work("fan_out", 100 // scale),
        Work("fan_out", 1_000 // scale),
        Work("fan_out", 10_000 // scale),
        Work("chain", 200 // scale),
        Work("diamonds", 500 // scale),
        Work("independent", 10_000 // scale),
    ]


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="As `--scale 10 --rounds 1`: sees that it works.")
@click.option("--scale", type=click.IntRange(1, 100), default=1, help="Divides all sizes.")
@click.option("--rounds", type=click.IntRange(1), default=3, help="How often each is measured.")
@click.option("--limit", default=60.0, show_default=True, help="Seconds given to each.")
@click.option("--load", type=float, help="Before each round, wait for a load below this.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([peer.module for peer in PEERS if peer is not OURS]),
    help="Compare with this one alone; may be given more than once.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write JSON to this file.")
def main(
    *,
    quick: bool,
    scale: int,
    rounds: int,
    limit: float,
    load: float | None,
    only: tuple[str, ...],
    output: Path | None,
) -> None:
    if quick:
        scale, rounds = 10, 1
    peers = [peer for peer in PEERS if not only or peer is OURS or peer.module in only]
    _check_services(peers)
    console = Console()
    console.width = max(console.width, 150)

    with server_dsn() as dsn, console.status("") as status:
        bench = Bench(dsn, limit)

        def measure_one(peer: Peer, work: Work) -> Found:
            status.update(f"{peer.name}: {work.label}")

            return bench.measure(peer, work)

        def before_round() -> None:
            if load is not None:
                status.update("waiting until the machine is quiet")
                console.print(f"load before this round: {wait_until_quiet(load):.2f}")

        measured = measure(peers, works(scale), rounds, measure_one, before_round)

        if output:
            write(output, dsn, limit, measured)

    console.print(table(measured))


def _check_services(peers: list[Peer]) -> None:
    needing = [peer.module for peer in peers if peer.needs == "redis"]

    if needing and not services.redis_is_installed():
        raise click.ClickException(
            f"redis-server must be on the PATH for {' and '.join(needing)}, got none: install it"
            " (apt install redis-server, brew install redis), or name others with --only"
        )


if __name__ == "__main__":
    main()
