"""``oban-workflows start``."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import sys
from typing import Any

import click

from oban_pro import _host
from oban_pro._plugin.oban_start import DEFAULT_GRACE
from oban_pro.cli.database import Database
from oban_pro.cli.failures import CommandFailure, explained
from oban_pro.cli.processes.parent import Orders, Parent
from oban_pro.cli.processes.recycling import Bytes
from oban_pro.cli.processes.shares import offsets_of, options_of
from oban_pro.cli.user_code import search_here


class _Start(click.Command):
    """Takes the options of `oban start` as well, whatever they are in the installed release."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return all options."""
        return [*_oban_cli().start.params, *super().get_params(ctx)]


def _oban_cli() -> Any:
    # Importing it sets up logging, which no other command wants.
    import oban.cli

    return oban.cli


@click.command(cls=_Start)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many nodes to run: one for each core.",
)
@click.option(
    "--max-jobs", type=click.IntRange(1), help="Replace a process after this number of jobs."
)
@click.option(
    "--max-memory",
    type=Bytes(),
    help="Replace a process that uses more memory after a job, as in 512M.",
)
def start(*, processes: int, max_jobs: int | None, max_memory: int | None, **params: Any) -> None:
    """Run several nodes under one parent: one for each core.

    Takes the options of oban start, and those at the end. Limits of queues are for all processes
    together. The parent runs no jobs: it restarts what dies and gives back its jobs at once, and
    hands on SIGTERM and SIGINT. It exits with 1 if no process could start.
    """
    search_here()
    cli = _oban_cli()

    if params["dry_run"]:
        cli.start.callback(**params)

    logging.getLogger().setLevel(params["log_level"].upper())

    with explained():
        config = _load(cli, params)
        database = Database(config.dsn, config.prefix or "public")

    queues = {queue: options_of(options) for queue, options in config.queues.items()}
    grace = config.shutdown_grace_period
    orders = Orders(
        processes,
        params,
        config.node or socket.gethostname(),
        queues,
        offsets_of(queues, processes),
        DEFAULT_GRACE if grace is None else grace,
        max_jobs,
        max_memory,
    )
    sys.exit(asyncio.run(_run(database, orders)))


async def _run(database: Database, orders: Orders) -> int:
    return await Parent(database, orders).run()


def _load(cli: Any, params: dict[str, Any]) -> Any:
    """Read the configuration as each process will, and refuse what none could run."""
    own = inspect.signature(cli.start.callback).parameters
    config = cli._load_conf(
        params["config"], {name: value for name, value in params.items() if name not in own}
    )
    validate = _host.get_ext("producer.validate", _host.default_validate)

    for queue, options in config.queues.items():
        try:
            validate(queue=queue, **options_of(options))
        except (TypeError, ValueError) as error:
            raise CommandFailure(f"queue {queue!r} cannot run: {error}") from error

    return config
