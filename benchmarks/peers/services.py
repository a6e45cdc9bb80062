"""The services of the systems: a new Redis or a new database for each measurement."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
STARTING = 10.0
"""Seconds that a server may take to start."""


def redis_is_installed() -> bool:
    """Tell whether the program `redis-server` is installed."""
    return shutil.which("redis-server") is not None


@contextmanager
def redis() -> Iterator[str]:
    """Yield the URL of a new Redis that keeps everything in memory, on a free port."""
    port = _free_port()

    with TemporaryDirectory() as folder:
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--dir", folder, *OPTIONS],
            stdout=subprocess.DEVNULL,
        )

        try:
            _connect(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def database_url(dsn: str) -> str:
    """Write a DSN as a URL, the only form that all drivers accept."""
    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}

    return f"postgresql:///{parts.pop('dbname')}?{urlencode(parts)}"


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]

        return port


def _connect(port: int) -> None:
    deadline = time.monotonic() + STARTING

    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
