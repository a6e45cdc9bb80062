"""The command line: ``oban-workflows``, one file per command."""

from __future__ import annotations

import click

from oban_pro import __version__

from .demo.command import demo
from .install import install
from .uninstall import uninstall

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Durable workflows for oban, on PostgreSQL."""


main.add_command(demo)
main.add_command(install)
main.add_command(uninstall)
