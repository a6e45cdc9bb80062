"""A real PgBouncer, from Debian's package, in front of a database."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oban_pro.embedded.account import server_account

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="needs Debian's package pgbouncer")

CONFIGURATION = """
[databases]
{database}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
logfile = {folder}/pgbouncer.log
{settings}
"""

SETTINGS = {"max_client_conn": "200", "server_round_robin": "1", "query_wait_timeout": "20"}


def free_port() -> int:
    """Return a free port of this machine."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))

        return int(found.getsockname()[1])


class PgBouncer:
    """A PgBouncer that lives as long as the block.

    Args:
        dsn: The DSN of the database.
        mode: ``"transaction"`` or ``"session"``. If possible, each transaction gets another
            connection than the one before.
        size: The largest number of connections to the server.
        settings: Further settings by name, which override the others.
    """

    def __init__(
        self,
        dsn: str,
        mode: str = "transaction",
        size: int = 3,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._target = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
        self._target.setdefault("user", getpass.getuser())
        sized = {"pool_mode": mode, "default_pool_size": str(size)}
        self._settings = SETTINGS | sized | dict(settings or {})
        self._port = free_port()

    @property
    def dsn(self) -> str:
        """The DSN that leads to the database through PgBouncer."""
        return make_conninfo(
            host="127.0.0.1",
            port=self._port,
            dbname=self._target["dbname"],
            user=self._target["user"],
        )

    def __enter__(self) -> Self:
        assert PROGRAM is not None
        self._folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        known = ("host", "port", "dbname", "user", "password")
        database = " ".join(f"{key}={self._target[key]}" for key in known if key in self._target)
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                database=f"{self._target['dbname']} = {database}",
                port=self._port,
                folder=self._folder,
                settings="\n".join(f"{name} = {value}" for name, value in self._settings.items()),
            ),
            "utf-8",
        )

        # PgBouncer refuses to run as root, so the user who runs the server runs it too.
        account = server_account()

        if account is not None:
            os.chown(self._folder, account.uid, account.gid)

        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(configuration)],
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise

        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        shutil.rmtree(self._folder)

    def log(self) -> str:
        """Return its log."""
        return (self._folder / "pgbouncer.log").read_text("utf-8")

    def _wait(self) -> None:
        deadline = time.monotonic() + 10

        while True:
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self._port))):
                return

            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, "PgBouncer must take connections"
            time.sleep(0.02)
