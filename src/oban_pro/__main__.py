"""The command line, ``oban-workflows`` or ``python -m oban_pro``: all of its commands."""

from __future__ import annotations

import click

from . import __version__
from .cli.commands.cancel import cancel
from .cli.commands.check import check
from .cli.commands.delete import delete
from .cli.commands.diff import diff
from .cli.commands.doctor import doctor
from .cli.commands.explain import explain
from .cli.commands.grants import grants
from .cli.commands.graph import graph
from .cli.commands.health import health
from .cli.commands.install import install
from .cli.commands.limit import limit
from .cli.commands.list import list_workflows
from .cli.commands.metrics import metrics
from .cli.commands.partition import partition
from .cli.commands.pause import pause
from .cli.commands.resume import resume
from .cli.commands.retry import retry
from .cli.commands.schedules import schedules
from .cli.commands.show import show
from .cli.commands.signal import signal
from .cli.commands.start import start
from .cli.commands.stats import stats
from .cli.commands.uninstall import uninstall
from .cli.commands.waits import waits
from .cli.commands.watch import watch
from .cli.commands.web import web
from .cli.completion import with_completion
from .demo.command import demo

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Durable workflows for oban, on PostgreSQL."""


for command in (
    cancel,
    delete,
    check,
    demo,
    diff,
    doctor,
    explain,
    grants,
    graph,
    health,
    install,
    limit,
    list_workflows,
    metrics,
    partition,
    pause,
    resume,
    retry,
    schedules,
    show,
    signal,
    start,
    stats,
    uninstall,
    waits,
    watch,
    web,
):
    main.add_command(with_completion(command))


if __name__ == "__main__":
    main(prog_name="oban-workflows")
