"""The command line: ``oban-workflows``, one file per command."""

from __future__ import annotations

import click

from oban_pro import __version__

from .cancel import cancel
from .demo.command import demo
from .doctor import doctor
from .explain import explain
from .graph import graph
from .install import install
from .list import list_workflows
from .retry import retry
from .show import show
from .uninstall import uninstall
from .watch import watch
from .web import web

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Durable workflows for oban, on PostgreSQL."""


for command in (
    cancel,
    demo,
    doctor,
    explain,
    graph,
    install,
    list_workflows,
    retry,
    show,
    uninstall,
    watch,
    web,
):
    main.add_command(command)
