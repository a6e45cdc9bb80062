"""The database that a command works on, the options for it, and connecting to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from oban_pro import _host
from oban_pro.engine.dsn import check_dsn

from .failures import CommandFailure, explained

if TYPE_CHECKING:
    from collections.abc import Callable

dsn_option = click.option("--dsn", envvar="OBAN_DSN", help="PostgreSQL connection string.")
prefix_option = click.option(
    "--prefix", envvar="OBAN_PREFIX", help="PostgreSQL schema of oban's tables (default: public)."
)
config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="TOML file with dsn and prefix (default: oban.toml, if it exists).",
)


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and the schema in it that holds oban's tables."""

    dsn: str = field(repr=False)
    prefix: str = "public"

    def __post_init__(self) -> None:
        """Refuse a DSN that would be repeated in an error, its password included."""
        check_dsn(self.dsn)


def database_options[R](
    command: Callable[..., R], *, failure: type[CommandFailure] = CommandFailure
) -> Callable[..., R]:
    """Give a command ``--dsn``, ``--prefix`` and ``--config``, and pass it the `Database` named.

    As in oban's own commands an option wins over the environment, and that over the file.

    Args:
        command: The command.
        failure: How it fails where they name none.
    """

    @dsn_option
    @prefix_option
    @config_option
    @wraps(command)
    def with_database(
        *args: Any, dsn: str | None, prefix: str | None, config: str | None, **options: Any
    ) -> R:
        with explained(failure):
            database = load_database(dsn, prefix, config)

        return command(*args, database=database, **options)

    return with_database


def load_database(dsn: str | None, prefix: str | None, config: str | None) -> Database:
    """Complete what the options say from the environment and from oban.toml.

    Raises:
        CommandFailure: If no DSN is given anywhere, or the configuration cannot be read.
    """
    try:
        loaded = _host.Config.load(config, dsn=dsn, prefix=prefix)
    except (OSError, TypeError, ValueError) as error:
        raise CommandFailure(
            f"{config or 'oban.toml'} must be a configuration of oban, got {error}"
        ) from error

    if not loaded.dsn:
        raise CommandFailure("a database must be given; set --dsn, OBAN_DSN, or dsn in oban.toml")

    return Database(loaded.dsn, loaded.prefix or "public")
