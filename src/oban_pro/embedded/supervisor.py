"""Run one PostgreSQL server for as long as somebody uses it.

This is a program, run apart from the users of the server: what ends one of them does not end the
server, and what ends the last of them (kill -9 included) cannot leave the server behind.

Everybody who uses a server shares the lock `users.lock` in its folder. The supervisor waits to own
that lock alone; then it shuts the server down. The lock `server.lock` is inherited by every process
of the server, so whoever gets it knows that none is left, even after a crash.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn, TypedDict

_PATIENCE = 30.0  # seconds between the polite way to stop a server and the next ruder one


class Spec(TypedDict):
    """What to run, as JSON on the command line."""

    home: str  # the folder of the locks, the log and the data directory
    run: str  # the socket's folder; removed at the end
    bindir: str
    initdb: list[str]
    postgres: list[str]
    user: int | None  # None: as ourselves
    group: int | None
    by_descriptor: bool  # the user cannot pass through the parents of `home`
    lock: int  # the descriptor of server.lock


def pgdata(home: Path) -> Path:
    """Name the data directory in a server's folder."""
    return home / "pgdata"


def read_status(home: Path) -> tuple[int, Path] | None:
    """Read the process id and the socket's directory of a server that is ready.

    Args:
        home: The server's folder.

    Returns:
        None while the server does not say that it is ready. After a crash that may be stale.
    """
    try:
        lines = (pgdata(home) / "postmaster.pid").read_bytes().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or lines[7].strip() != b"ready":
        return None
    return int(lines[0]), Path(os.fsdecode(lines[4]))


def main(spec: Spec) -> None:
    """Detach from the caller and run the server; its standard output tells it why not."""
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, _exit)
    try:
        with _log(spec) as log:
            _initialize(spec, log)
            _run(spec, log)
    except (OSError, subprocess.SubprocessError) as error:
        _report(spec, str(error))
    finally:
        shutil.rmtree(spec["run"], ignore_errors=True)


def _exit(*_: object) -> NoReturn:
    sys.exit()


def _initialize(spec: Spec, log: IO[bytes]) -> None:
    home = Path(spec["home"])
    for leftover in home.glob("initdb-*"):
        shutil.rmtree(leftover)
    if pgdata(home).exists():
        # Nobody runs on this data: we hold server.lock. The id may be another program's by now.
        (pgdata(home) / "postmaster.pid").unlink(missing_ok=True)
        return
    draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=home))
    if spec["user"] is not None and spec["group"] is not None:
        os.chown(draft, spec["user"], spec["group"])
    initdb = _spawn(spec, "initdb", draft, spec["initdb"], log)
    try:
        if status := initdb.wait():
            raise subprocess.CalledProcessError(status, "initdb")
    finally:
        initdb.kill()
    draft.rename(pgdata(home))
    _sync(home)


def _run(spec: Spec, log: IO[bytes]) -> None:
    home = Path(spec["home"])
    server = _spawn(spec, "postgres", pgdata(home), spec["postgres"], log)
    threading.Thread(target=_stop_when_unused, args=(home, server), daemon=True).start()
    try:
        while server.poll() is None and not read_status(home):
            time.sleep(0.005)
        if server.poll() is None:
            _close_output()
        elif server.returncode:
            raise subprocess.CalledProcessError(server.returncode, "postgres")
        server.wait()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def _stop_when_unused(home: Path, server: subprocess.Popen[bytes]) -> None:
    users = os.open(home / "users.lock", os.O_RDONLY)
    fcntl.flock(users, fcntl.LOCK_EX)
    # Fast shutdown, immediate shutdown, none. The lock is held until this program ends.
    for stop in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(stop)
        time.sleep(_PATIENCE)


def _spawn(
    spec: Spec, program: str, data: Path, args: list[str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    with _reach(spec, data) as (path, descriptors):
        return subprocess.Popen(
            [Path(spec["bindir"], program), "-D", path, *args],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            user=spec["user"],
            group=spec["group"],
            extra_groups=None if spec["user"] is None else [],
            pass_fds=(spec["lock"], *descriptors),
            preexec_fn=_end_with_parent,  # noqa: PLW1509 (no thread runs yet)
        )


@contextlib.contextmanager
def _reach(spec: Spec, data: Path) -> Iterator[tuple[str, list[int]]]:
    if not spec["by_descriptor"]:
        yield str(data), []
        return
    # Through an open descriptor nobody asks whether the parents may be passed.
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", [descriptor]
    finally:
        os.close(descriptor)


def _end_with_parent() -> None:
    # So that kill -9 of this program stops the server too, where the kernel offers it.
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def _log(spec: Spec) -> IO[bytes]:
    log = Path(spec["home"], "postgres.log")
    log.unlink(missing_ok=True)
    return log.open("xb", buffering=0)


def _report(spec: Spec, error: str) -> None:
    lines = Path(spec["home"], "postgres.log").read_text(errors="replace").splitlines()
    sys.stdout.write("\n".join([error, *lines[-20:]]))
    sys.stdout.flush()


def _close_output() -> None:
    # The caller waits for the end of our output: nothing in it means ready.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
