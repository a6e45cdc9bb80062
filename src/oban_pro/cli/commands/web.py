"""``oban-workflows web``."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from oban_pro.cli.database import Database, database_options
from oban_pro.cli.failures import CommandFailure, explained
from oban_pro.cli.user_code import search_here
from oban_pro.engine.connecting import open_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp


@click.command()
@database_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=4600, show_default=True, type=click.IntRange(0, 65535), help="Port."
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Answer under this name too, or any if it is *; may be repeated.",
)
@click.option("--allow-operations", is_flag=True, help="Let those with the token cancel and retry.")
@click.option(
    "--token", envvar="OBAN_WEB_TOKEN", help="That token (default: a new one, which is printed)."
)
def web(
    *,
    database: Database,
    host: str,
    port: int,
    names: tuple[str, ...],
    allow_operations: bool,
    token: str | None,
) -> None:
    """Serve the dashboard.

    Anybody who can reach it sees all workflows, so it listens on this machine alone unless told. It
    answers under addresses, localhost, and the names that it is told.
    """
    token = (token or secrets.token_urlsafe(24)) if allow_operations else None

    # Running a schedule from its page imports its module.
    search_here()

    with explained():
        asyncio.run(_check(database))
        _serve(_app(database, [host, *names], token), host, port, token)


async def _check(database: Database) -> None:
    """Fail here, in one line, where the database cannot be reached."""
    async with open_connection(database.dsn):
        pass


def _app(database: Database, names: Sequence[str], token: str | None) -> ASGIApp:
    try:
        from oban_pro.web import create_app
        from oban_pro.web.operators import AUDIT
        from oban_pro.web.security import KnownHosts
    except ImportError as error:
        raise CommandFailure(str(error)) from error

    # The audit log goes to stderr.
    log = logging.getLogger(AUDIT)
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())
    app = create_app(
        database.dsn, prefix=database.prefix, allow_operations=token is not None, token=token
    )

    return KnownHosts(app, names)


def _serve(app: ASGIApp, host: str, port: int, token: str | None) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()

            if not self.should_exit:
                port = self.servers[0].sockets[0].getsockname()[1]
                _announce(host, port, token)

    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1
    )

    # Ctrl+C ends the command: the server has stopped by then, and raises it again.
    with suppress(KeyboardInterrupt):
        Server(config).run()


def _announce(host: str, port: int, token: str | None) -> None:
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{port}/"
    click.echo(f"Dashboard at {address}")

    if token is not None:
        click.echo(f"To cancel and retry, open {address}unlock?token={token}")
