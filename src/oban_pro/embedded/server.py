"""A server, as one of its users sees it."""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

from . import binaries, supervisor
from .account import open_to_others, run_base, server_account
from .errors import EmbeddedError
from .locks import FileLock, Lifeline

_USER = "postgres"
_PORT = 5432  # names the socket, nothing more
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # the cheapest question with an answer
_DEADLINE = 120.0  # seconds for another process to start the server, or for a stop

# A queue leaves thousands of dead rows a second, and a fetch reads those not vacuumed yet.
_DEFAULTS = {"max_connections": "200", "autovacuum_naptime": "5s"}
_TEMPORARY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_RESERVED = frozenset({"data_directory", "listen_addresses", "port", "unix_socket_directories"})
_PRIVATE = {"listen_addresses": "", "port": str(_PORT)}
_TRUST = ["--auth-local=trust", "--auth-host=reject"]  # the socket's directory is the guard
_INITDB = [f"--username={_USER}", "--encoding=UTF8", "--no-locale", *_TRUST]


class Postgres:
    """A PostgreSQL server of one's own.

    It listens on a Unix socket in a private directory, never on TCP. All processes that start one
    on the same folder share a single server, which lives until the last of them has stopped or
    ended, kill -9 included. Children forked from a user of the server are not users of it.

    Args:
        data: Folder that keeps the data, durably; created when missing. None for a temporary
            server, which trades durability for speed and whose data goes when it stops.
        settings: Server settings by name, on top of `max_connections` 200 and
            `autovacuum_naptime` 5s. They take effect with the start of the server, not when a
            running one is joined.

    Raises:
        EmbeddedError: A setting is one of those that make the server private.

    Example:
        >>> with Postgres() as postgres, psycopg.connect(postgres.dsn()) as conn:
        ...     conn.execute("SELECT 1")
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | None = None,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        settings = dict(settings or {})
        if taken := sorted(_RESERVED & settings.keys()):
            message = f"settings must leave {', '.join(sorted(_RESERVED))} alone"
            raise EmbeddedError(f"{message}, got {', '.join(taken)}; set OBAN_DSN to use TCP")
        self._settings = _DEFAULTS | (_TEMPORARY if data is None else {}) | settings
        self._data = None if data is None else Path(data).absolute()
        self._home: Path | None = self._data
        self._users: FileLock | None = None
        self._status: tuple[int, Path] | None = None

    @property
    def bindir(self) -> Path:
        """The directory of PostgreSQL's programs."""
        return binaries.find()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._started()[0]

    def dsn(self, dbname: str = "postgres") -> str:
        """Return a connection URI for a database of the server.

        Args:
            dbname: The database.

        Returns:
            A URI for libpq, hence for psycopg and oban.

        Raises:
            EmbeddedError: The server has not been started.
        """
        host = quote(str(self._started()[1]), safe="")
        return f"postgresql://{_USER}@/{quote(dbname, safe='')}?host={host}&port={_PORT}"

    def start(self) -> Self:
        """Start the server, or join it where it runs; start it again where it crashed.

        Returns:
            Itself, once the server takes connections.

        Raises:
            EmbeddedError: The server cannot be run.
        """
        try:
            self._home = self._enter()
            self._status = self._join_or_launch(self._home)
        except OSError as error:
            self.stop()
            where = self._home or "a temporary folder"
            message = f"PostgreSQL must be able to use {where}, got {error}"
            raise EmbeddedError(f"{message}; choose another folder, or set OBAN_DSN") from error
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Leave the server. The last user's stop returns when the server is gone."""
        users, home, status = self._users, self._home, self._status
        self._users, self._home, self._status = None, self._data, None
        if users is None or users.closed:
            return
        # Once even a shared lock is refused, the supervisor has seen that nobody is left.
        last = users.try_own() or not users.try_share()
        users.close()
        if last and home and status:
            _wait_until_gone(home, status[1])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> tuple[int, Path]:
        if self._status is None:
            message = "PostgreSQL must be running before it is used, got a stopped one"
            raise EmbeddedError(f"{message}; call start(), or use it in a with block")
        return self._status

    def _enter(self) -> Path:
        """Become a user of the server, who keeps it alive, whether it runs yet or not."""
        home = self._home
        if home and home.exists():
            if not self._users or self._users.closed:
                self._use(home)
            return home
        if self._data:
            self._data.mkdir(parents=True, exist_ok=True)
            self._use(self._data)
            return self._data
        # The supervisor makes the folder, and we use it before the supervisor sees us let go.
        with closing(Lifeline()) as lifeline:
            home = self._launch(None, None, lifeline.reader)
            self._use(home)
        return home

    def _use(self, home: Path) -> None:
        self._users = FileLock(home / "users.lock")
        self._users.share()

    def _join_or_launch(self, home: Path) -> tuple[int, Path]:
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            with closing(FileLock(home / "server.lock")) as lock:
                if lock.try_own():
                    self._launch(home, lock.fd, subprocess.DEVNULL)
            status = supervisor.read_status(home)
            if status and _accepts(status[1]):
                return status
            time.sleep(0.01)
        message = f"PostgreSQL must be ready within {_DEADLINE:.0f} s, got none in {home}"
        raise EmbeddedError(f"{message}; see postgres.log there, or set OBAN_DSN")

    def _launch(self, home: Path | None, lock: int | None, lifeline: int) -> Path:
        """Start the server; return its folder, which its supervisor makes where home is None."""
        output = _supervise(self._spec(home, lock), lifeline)
        if not output.startswith(supervisor.READY):
            message = f"PostgreSQL must start in {home or 'a temporary folder'}, got: {output}"
            hint = "mend what it names, choose another folder, or set OBAN_DSN"
            raise EmbeddedError(f"{message}\n{hint}")
        return Path(output.removeprefix(supervisor.READY))

    def _spec(self, home: Path | None, lock: int | None) -> supervisor.Spec:
        account = server_account(supervisor.pgdata(home) if home else None)
        bindir = binaries.find()
        settings = self._settings | _PRIVATE
        return {
            "home": str(home) if home else None,
            "run": str(home) if home and not self._data else None,
            "base": run_base(account),
            "bindir": str(binaries.readable_by_others(bindir) if account else bindir),
            "initdb": [*_INITDB, *([] if self._data else ["--no-sync"])],
            "postgres": [f"--{name}={value}" for name, value in settings.items()],
            "user": account.uid if account else None,
            "group": account.gid if account else None,
            "by_descriptor": bool(account and home and self._data and _is_hidden(home)),
            "lock": lock,
        }


def _is_hidden(home: Path) -> bool:
    if open_to_others(home):
        return False
    if not Path("/proc/self/fd").is_dir():
        message = f"the data folder must be open to all users when root runs PostgreSQL, got {home}"
        raise EmbeddedError(f"{message}; choose another folder, or run as an ordinary user")
    return True


def _supervise(spec: supervisor.Spec, lifeline: int) -> str:
    """Run the supervisor until the server is ready; return what the supervisor says."""
    command = [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(spec)]
    # PGPORT and the like are meant for other servers.
    environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
    done = subprocess.run(
        command,
        check=False,
        stdin=lifeline,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environment,
        pass_fds=() if spec["lock"] is None else (spec["lock"],),
        start_new_session=True,
    )
    output = os.fsdecode(done.stdout).strip()
    return output or f"{sys.executable} ended with {done.returncode}"


def _accepts(run: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(5)
        try:
            client.connect(str(run / f".s.PGSQL.{_PORT}"))
            # A server that is just being killed still connects; it does not answer.
            client.sendall(_SSL_REQUEST)
            return bool(client.recv(1))
        except OSError:
            return False


def _wait_until_gone(home: Path, run: Path) -> None:
    with suppress(FileNotFoundError), closing(FileLock(home / "server.lock")) as lock:
        deadline = time.monotonic() + _DEADLINE
        while run.exists() and not lock.try_own() and time.monotonic() < deadline:
            time.sleep(0.005)
        # What is left now belongs to a supervisor that was killed.
        shutil.rmtree(run, ignore_errors=True)
