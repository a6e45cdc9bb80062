"""Which database a command works on, the options that say so, and the way there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from oban_pro import _host

from .errors import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CONNECT_TIMEOUT = 10
"""Seconds to wait for a server that does not answer, where the DSN says nothing else."""

dsn_option = click.option("--dsn", envvar="OBAN_DSN", help="PostgreSQL connection string.")
prefix_option = click.option(
    "--prefix", envvar="OBAN_PREFIX", help="PostgreSQL schema of oban's tables (default: public)."
)
config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="TOML file with dsn and prefix (default: oban.toml, where there is one).",
)


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and the schema in it that holds oban's tables."""

    dsn: str
    prefix: str = "public"


def database_options[R](command: Callable[..., R]) -> Callable[..., R]:
    """Give a command ``--dsn``, ``--prefix`` and ``--config``, and pass it the `Database` named.

    As in oban's own commands an option wins over the environment, and that over the file.
    """

    @dsn_option
    @prefix_option
    @config_option
    @wraps(command)
    def with_database(
        *args: Any, dsn: str | None, prefix: str | None, config: str | None, **options: Any
    ) -> R:
        return command(*args, database=load_database(dsn, prefix, config), **options)

    return with_database


def load_database(dsn: str | None, prefix: str | None, config: str | None) -> Database:
    """Complete what the options say from the environment and from oban.toml.

    Raises:
        Failure: If no DSN is given anywhere, or the configuration cannot be read.
    """
    try:
        loaded = _host.Config.load(config, dsn=dsn, prefix=prefix)
    except (OSError, TypeError, ValueError) as error:
        raise Failure(
            f"{config or 'oban.toml'} must be a configuration of oban, got {error}"
        ) from error

    if not loaded.dsn:
        raise Failure("a database must be given; set --dsn, OBAN_DSN, or dsn in oban.toml")

    return Database(loaded.dsn, loaded.prefix or "public")


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """Open a connection that commits each statement.

    Raises:
        psycopg.Error: If the database cannot be reached, saying why.
    """
    timeout = conninfo_to_dict(dsn).get("connect_timeout", CONNECT_TIMEOUT)

    async with await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=timeout) as conn:
        yield conn


@asynccontextmanager
async def open_pool(database: Database) -> AsyncIterator[AsyncConnectionPool]:
    """Open a pool of connections.

    Raises:
        psycopg.Error: If the database cannot be reached, saying why.
    """
    # A pool keeps trying and never says why; a connection fails at once.
    async with connect(database.dsn):
        pass

    async with AsyncConnectionPool(database.dsn, min_size=1, max_size=4, open=False) as pool:
        yield pool
