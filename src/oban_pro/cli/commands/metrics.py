"""``oban-workflows metrics``."""

from __future__ import annotations

import click

from oban_pro.cli.client import run
from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CommandFailure

from .stats import read


@click.command()
@database_options
def metrics(*, database: Database) -> None:
    """Print what is open as Prometheus text.

    For a textfile collector, or to look. The dashboard serves the same at /metrics.
    """
    try:
        from oban_pro.metrics import to_text
    except ModuleNotFoundError as error:
        raise CommandFailure(
            f"the metrics need {error.name}: pip install 'oban-workflows[metrics]'"
        ) from None

    click.echo(to_text(run(read(database))), nl=False)
