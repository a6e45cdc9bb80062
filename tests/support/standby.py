"""A primary and its synchronous standby, which tests kill and promote."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from oban_pro.embedded import EmbeddedError, binaries
from oban_pro.embedded.account import Account, server_account

PROGRAMS = ("initdb", "postgres", "pg_basebackup")

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
port = {port}
max_connections = 100
wal_level = replica
max_wal_senders = 5
hot_standby = on
# long enough for the reads of a test, which would be cancelled otherwise
max_standby_streaming_delay = 60s
hot_standby_feedback = on
wal_receiver_status_interval = 1s
fsync = off
"""


def find_programs() -> Path | None:
    """Find the folder of PostgreSQL's programs, including those for replicas."""
    try:
        folder = binaries.find()
    except EmbeddedError:
        return None

    account = server_account()
    readable = binaries.readable_by_others(folder) if account else folder
    candidates = [readable, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]

    for candidate in candidates:
        if all((candidate / program).exists() for program in PROGRAMS):
            return candidate

    return None


BINARIES = find_programs()

needs_replicas = pytest.mark.skipif(
    BINARIES is None, reason="needs pg_basebackup, as in Debian's package postgresql"
)


class Standing:
    """One server with its own folder, on a Unix socket."""

    def __init__(self, folder: Path, port: int, account: Account | None) -> None:
        self.data = folder / f"data{port}"
        self.port = port
        self._folder = folder
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(
            self._command(program, *arguments), capture_output=True, check=False, **self._as()
        )
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start the server, and return when it accepts connections."""
        log = (self._folder / f"log{self.port}").open("ab")

        with log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", str(self.data)),
                stdout=log,
                stderr=log,
                **self._as(),
            )

        deadline = time.monotonic() + 30

        while True:
            try:
                psycopg.connect(self.dsn()).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)

    def dsn(self, dbname: str = "postgres") -> str:
        return make_conninfo(host=str(self._folder), port=self.port, user="postgres", dbname=dbname)

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            cursor = conn.execute(statement.encode())

            return cursor.fetchall() if cursor.description is not None else []

    def kill(self) -> None:
        """Kill the server and all of its processes at once, as if its machine were lost."""
        assert self._process is not None
        pid = self._process.pid
        # A frozen server does not start new processes in place of killed ones.
        os.kill(pid, signal.SIGSTOP)

        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

        os.kill(pid, signal.SIGKILL)
        self._process.wait(30)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)

    def log(self) -> str:
        return (self._folder / f"log{self.port}").read_text("utf-8")

    def _command(self, program: str, *arguments: str) -> list[str]:
        assert BINARIES is not None

        return [str(BINARIES / program), *arguments]

    def _as(self) -> dict[str, Any]:
        # Variables such as PGPORT would lead to other servers.
        environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
        options = {"cwd": "/", "env": environment, "start_new_session": True}

        if self._account is None:
            return options

        return options | {
            "user": self._account.uid,
            "group": self._account.gid,
            "extra_groups": [],
        }


class Replicated:
    """A primary and a standby. Each commit of the primary waits for the standby.

    Args:
        settings: Further lines of ``postgresql.conf`` for both. By default none.
    """

    def __init__(self, settings: str = "") -> None:
        self._settings = settings
        self._account = server_account()
        self._folder = Path(tempfile.mkdtemp(prefix="standby-", dir="/tmp"))

        if self._account is not None:
            os.chown(self._folder, self._account.uid, self._account.gid)

        self.primary = Standing(self._folder, 5432, self._account)
        self.standby = Standing(self._folder, 5433, self._account)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise

        return self

    def __exit__(self, *_: object) -> None:
        self.primary.stop()
        self.standby.stop()
        shutil.rmtree(self._folder)

    def dsn(self, dbname: str = "postgres") -> str:
        """The DSN that leads to the one that accepts changes."""
        folder = str(self._folder)

        return make_conninfo(
            host=f"{folder},{folder}",
            port="5432,5433",
            user="postgres",
            dbname=dbname,
            target_session_attrs="read-write",
            connect_timeout=2,
        )

    def fail_over(self) -> None:
        """Kill the primary, and let the standby take its place."""
        self.primary.kill()
        self.promote()

    def promote(self) -> None:
        """Let the standby accept changes."""
        self.standby.execute("SELECT pg_promote()")

    def wait_for_replay(self) -> None:
        """Wait until the standby has all commits so far."""
        ((position,),) = self.primary.execute("SELECT pg_current_wal_lsn()")
        deadline = time.monotonic() + 30

        while self.standby.execute(f"SELECT pg_last_wal_replay_lsn() < '{position}'") != [(False,)]:
            assert time.monotonic() < deadline, self.standby.log()
            time.sleep(0.02)

    def _start(self) -> None:
        primary, standby = self.primary, self.standby
        primary.run(
            "initdb", "-D", str(primary.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--no-locale", "--no-sync",
        )  # fmt: skip
        self._configure(primary)
        primary.start()
        standby.run(
            "pg_basebackup", "-D", str(standby.data), "-d", primary.dsn(), "-R", "-c", "fast",
            "--no-sync",
        )  # fmt: skip
        self._configure(standby)
        standby.start()

        if not self._settings:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.execute("SELECT pg_reload_conf()")

        deadline = time.monotonic() + 30

        while primary.execute("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
            assert time.monotonic() < deadline, standby.log()
            time.sleep(0.02)

    def _configure(self, server: Standing) -> None:
        with (server.data / "postgresql.conf").open("a") as file:
            file.write(SETTINGS.format(folder=self._folder, port=server.port) + self._settings)
