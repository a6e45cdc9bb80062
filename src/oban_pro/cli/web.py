"""``oban-workflows web``."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

import click

from .database import Database, connect, database_options
from .errors import Failure, explained

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOCAL_NAMES = ["localhost", "127.0.0.1", "::1", "[::1]"]


@click.command()
@database_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=4600, show_default=True, type=click.IntRange(0, 65535), help="Port."
)
@click.option("--allow-operations", is_flag=True, help="Let those with the token cancel and retry.")
@click.option(
    "--token", envvar="OBAN_WEB_TOKEN", help="That token (default: a new one, which is printed)."
)
def web(
    database: Database, host: str, port: int, allow_operations: bool, token: str | None
) -> None:
    """Serve the dashboard.

    Anybody who can reach it sees all workflows, so it listens on this machine alone unless told.
    """
    token = (token or secrets.token_urlsafe(24)) if allow_operations else None

    with explained():
        asyncio.run(_check(database))
        _serve(_app(database, host, token), host, port, token)


async def _check(database: Database) -> None:
    """Fail here, in one line, where the database cannot be reached."""
    async with connect(database.dsn):
        pass


def _app(database: Database, host: str, token: str | None) -> ASGIApp:
    try:
        from oban_pro.web import create_app
    except ImportError as error:
        raise Failure(str(error)) from error

    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = create_app(
        database.dsn, prefix=database.prefix, allow_operations=token is not None, token=token
    )

    # A page elsewhere could else reach this one under a name of its own that leads here.
    return TrustedHostMiddleware(app, [*LOCAL_NAMES, host]) if _is_loopback(host) else app


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

    # Ctrl+C is how one leaves: by then the server has stopped, and passes it on.
    with suppress(KeyboardInterrupt):
        Server(config).run()


def _announce(host: str, port: int, token: str | None) -> None:
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{port}/"
    click.echo(f"Dashboard at {address}")

    if token is not None:
        click.echo(f"To cancel and retry, open {address}unlock?token={token}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
