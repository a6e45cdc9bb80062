"""``oban-workflows grants``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oban_pro import schema
from oban_pro.cli.failures import CommandFailure, explained
from oban_pro.cli.roles import role_options

if TYPE_CHECKING:
    from oban_pro.cli.roles import Roles


@click.command()
@click.option(
    "--prefix",
    envvar="OBAN_PREFIX",
    default="public",
    show_default=True,
    help="PostgreSQL schema of oban's tables.",
)
@role_options("")
def grants(prefix: str, roles: Roles) -> None:
    """Print the SQL that grants roles what they need.

    It is for whoever owns the tables to run; the roles must exist. Needs no
    database.
    """
    if not any(roles.values()):
        raise CommandFailure("a role must be given; set --worker, --enqueuer or --reader")

    with explained():
        click.echo(schema.grants_sql(prefix, **roles))
